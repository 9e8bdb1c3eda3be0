#ifndef TE_TRANSPORT_TCP_CLIENT_STREAM_H_
#define TE_TRANSPORT_TCP_CLIENT_STREAM_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/types/span.h"
#include "te/base/baton.h"
#include "te/base/incarnation.h"
#include "te/base/mutex.h"
#include "te/base/unique_fd.h"
#include "te/transport/slice.h"
#include "te/transport/slice_list.h"
#include "te/transport/tcp/frame.h"
#include "te/transport/tcp/frame_reader.h"
#include "te/transport/tcp/frame_writer.h"
#include "te/transport/tcp/io_loop.h"
#include "te/transport/tcp/slice_window.h"
#include "te/transport/transport.h"

namespace te::tcp {

// The initiator's end of one connection: sends requests, takes answers, which
// come in the same order.
//
// Thread-safe, without a thread of its own. Sending and receiving are each done
// by whichever thread holds the baton: a poster, a poller, or the I/O loop,
// which sleeps on the socket while no one polls. A thread that finds a baton
// taken leaves its work to the holder, who looks once more after passing it on.
// For that look not to miss anything, batons, inbox and counters are all
// sequentially consistent.
//
// Ends by Close, or by itself when the socket or the peer fails; then the owner
// hears of it through `on_broken`, before any slice comes back for it.
class ClientStream final : public IoLoop::Client,
                           public std::enable_shared_from_this<ClientStream>,
                           private FrameReader::Handler,
                           private FrameWriter::Source {
 public:
  struct Options {
    Incarnation self;
    Incarnation peer;
    // Both ends of the socket, for errors.
    std::string name;
    // Bytes on their way at most; the window of a peer that does not answer.
    uint64_t window_bytes = 0;
    // Ask for and send checksums of all data.
    bool checksum = false;
  };
  // Called on any thread, from within any method, and maybe by several at once;
  // may call nothing here but Break.
  using OnBroken = std::function<void(const absl::Status&)>;

  // `socket` is connected, non-blocking and past its Hello. The loop is shared
  // because rails may outlive the transport, in the handles of old batches.
  ClientStream(Options options, UniqueFd socket, std::shared_ptr<IoLoop> loop,
               OnBroken on_broken);
  // Close must have been called.
  ~ClientStream() override;

  // To be called once, before all else: from now on the loop watches the
  // socket.
  absl::Status Start();

  // See Rail. `slices` is not empty. Watch must follow.
  void Post(absl::Span<Slice* const> slices);
  // As Post, but leaves the sending to the loop.
  void Leave(absl::Span<Slice* const> slices);
  // Has the loop take over what was posted, unless a poller does.
  void Watch();
  Progress Poll();
  void BeginPolling();
  void EndPolling();
  void Withdraw(absl::FunctionRef<bool(const Slice&)> matches,
                const absl::Status& status);
  // Every slice is back when it returns. Not from a sink.
  void Close(const absl::Status& why);
  // Cuts the connection; the slices come back soon, on whatever thread.
  void Break(const absl::Status& why);

  // Bytes posted and not finished: what a new slice would queue behind.
  uint64_t queued_bytes() const { return queued_bytes_; }

 private:
  IoLoop::Outcome OnReady(uint32_t events) override;
  void OnRest() override;

  absl::Status OnFrame(const FrameHeader& header, const std::byte* entries,
                       std::vector<iovec>& payload) override;
  absl::Status OnPayload() override;
  absl::Status Expect(const ResponseEntry& entry, uint32_t next,
                      std::vector<iovec>& payload)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(receiving_);
  absl::Status Verdict(size_t index, const Slice& slice)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(receiving_);
  char* ErrorText(size_t answer) ABSL_EXCLUSIVE_LOCKS_REQUIRED(receiving_);
  bool IsSent(uint32_t id);

  bool NextFrame(OutgoingFrame& frame) override;
  void OnSent() override;
  void AddSlice(Slice& slice, OutgoingFrame& frame);

  void Enqueue(absl::Span<Slice* const> slices);
  bool Send();
  void Arm();
  void Reap();
  void Finish(Slice& slice, absl::Status status);
  absl::Status failure() const;

  const Options options_;
  const UniqueFd socket_;
  const std::shared_ptr<IoLoop> loop_;
  const OnBroken on_broken_;
  IoLoop::Id loop_id_ = 0;

  SliceInbox inbox_;
  std::atomic<uint64_t> queued_bytes_{0};
  std::atomic<uint32_t> unfinished_{0};
  SliceWindow window_;

  Baton sending_;
  SliceList pending_ ABSL_GUARDED_BY(sending_);
  FrameWriter writer_ ABSL_GUARDED_BY(sending_);
  // Slices that the current frame carries; they count as sent after it.
  uint32_t in_frame_ ABSL_GUARDED_BY(sending_) = 0;
  // What sending waits for: the loop or a poller, as soon as the socket has
  // room; or room in the window for a slice of that length.
  std::atomic<bool> send_when_writable_{false};
  std::atomic<uint32_t> wanted_room_{0};

  Baton receiving_;
  FrameReader reader_ ABSL_GUARDED_BY(receiving_);
  // Those of the current frame, and kMaxErrorTextBytes for the text of each;
  // made when the first error comes.
  std::vector<ResponseEntry> answers_ ABSL_GUARDED_BY(receiving_);
  std::unique_ptr<char[]> error_texts_ ABSL_GUARDED_BY(receiving_);

  std::atomic<int> pollers_{0};

  std::atomic<bool> broken_{false};
  mutable Mutex mutex_;
  absl::Status failure_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace te::tcp

#endif  // TE_TRANSPORT_TCP_CLIENT_STREAM_H_
