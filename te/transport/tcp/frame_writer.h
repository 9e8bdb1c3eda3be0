#ifndef TE_TRANSPORT_TCP_FRAME_WRITER_H_
#define TE_TRANSPORT_TCP_FRAME_WRITER_H_

#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "te/transport/tcp/frame.h"

namespace te::tcp {

// A frame on its way out. The payload stays where it is, in registered memory.
class OutgoingFrame {
 public:
  OutgoingFrame();

  void Begin(FrameKind kind, const Incarnation& target);
  template <typename Entry>
  void AddEntry(const Entry& entry) {
    Encode(entry,
           control_.data() + kHeaderBytes + header_.entries++ * kEntryBytes);
  }
  // `data` must stay valid until the frame has been sent.
  void AddPayload(std::byte* data, size_t bytes);
  void End();

  size_t entries() const { return header_.entries; }
  uint64_t payload_bytes() const { return header_.payload_bytes; }

 private:
  friend class FrameWriter;

  FrameHeader header_;
  std::array<std::byte, kMaxControlBytes> control_;
  // Control bytes first; what has been sent is cut off from the front.
  std::vector<iovec> pieces_;
  size_t next_ = 0;
};

// Puts frames into a non-blocking socket, straight from where the payload lies.
// For one thread at a time.
class FrameWriter {
 public:
  class Source {
   public:
    // Fills in the next frame, Begin to End, or returns false: nothing to send.
    virtual bool NextFrame(OutgoingFrame& frame) = 0;
    // The whole frame is in the socket: its payload is not needed any more.
    virtual void OnSent() = 0;

   protected:
    ~Source() = default;
  };

  // `budget`: bytes that one call sends at most, so that others get their turn;
  // maybe a little more.
  explicit FrameWriter(size_t budget = 4 << 20) : budget_(budget) {}

  // Sends until the source is empty, the socket full, or the budget spent. Sets
  // `blocked` if there is more to send: go on when there is room in the socket.
  // Sets `moved` if anything went.
  // kUnavailable: the peer has closed or the socket failed.
  absl::Status Write(int fd, Source& source, bool& moved, bool& blocked);

  // Whether a frame has begun and not ended.
  bool in_frame() const { return in_frame_; }

 private:
  // The best amount for one system call. Measured; see docs/performance.md.
  static constexpr size_t kMaxBytesPerCall = 1 << 20;
  static constexpr size_t kMaxPieces = 256;

  bool HasFrame(Source& source);
  // Fills `pieces_` with the next bytes of the frame.
  void Plan();
  void Consume(size_t bytes);

  const size_t budget_;
  OutgoingFrame frame_;
  bool in_frame_ = false;
  std::array<iovec, kMaxPieces> pieces_;
  size_t pieces_count_ = 0;
};

}  // namespace te::tcp

#endif  // TE_TRANSPORT_TCP_FRAME_WRITER_H_
