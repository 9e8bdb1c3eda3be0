#ifndef TE_TRANSPORT_TCP_FRAME_READER_H_
#define TE_TRANSPORT_TCP_FRAME_READER_H_

#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "te/transport/tcp/frame.h"

namespace te::tcp {

// Takes frames out of a non-blocking socket. Control bytes go to a small buffer
// here; payload goes from the socket to where the handler wants each piece, and
// the same system call picks up the start of the next frame. For one thread at
// a time.
class FrameReader {
 public:
  class Handler {
   public:
    // The control part of a frame has arrived. `entries` holds
    // header.entries × kEntryBytes and is gone after the call. The handler
    // appends to `payload` where the payload shall go: pieces of
    // header.payload_bytes in total, which stay valid until OnPayload.
    virtual absl::Status OnFrame(const FrameHeader& header,
                                 const std::byte* entries,
                                 std::vector<iovec>& payload) = 0;
    // All of the payload is in its place.
    virtual absl::Status OnPayload() = 0;

   protected:
    ~Handler() = default;
  };

  FrameReader();

  // Reads until the socket is empty or kBudgetBytes have been read, so that
  // others get their turn. Sets `moved` if anything came. kUnavailable: the
  // peer has closed or the socket failed; other errors are the handler's, or
  // say that the peer does not speak our protocol. No error can be recovered
  // from.
  absl::Status Read(int fd, Handler& handler, bool& moved);

  // Whether a frame has begun and not ended.
  bool in_frame() const { return control_have_ > 0 || in_payload_; }

 private:
  static constexpr size_t kBudgetBytes = 4 << 20;
  // Pieces of payload in one system call, plus one for the next frame.
  static constexpr size_t kMaxPieces = 64;

  // Fills `pieces_` with where the next bytes go.
  size_t Plan();
  absl::Status Consume(size_t bytes, Handler& handler);
  void ConsumePayload(size_t& bytes);
  absl::Status ConsumeControl(Handler& handler);
  absl::Status EndPayload(Handler& handler);

  std::array<std::byte, kMaxControlBytes> control_;
  size_t control_have_ = 0;
  size_t control_need_ = kFrameStartBytes;

  // The payload of the current frame that is still to come.
  bool in_payload_ = false;
  std::vector<iovec> payload_;
  size_t payload_next_ = 0;

  std::array<iovec, kMaxPieces + 1> pieces_;
  size_t pieces_count_ = 0;
};

}  // namespace te::tcp

#endif  // TE_TRANSPORT_TCP_FRAME_READER_H_
