#include "te/transport/tcp/frame_reader.h"

#include <algorithm>
#include <cerrno>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "te/base/errno_status.h"
#include "te/base/status_macros.h"

namespace te::tcp {
namespace {

size_t TotalBytes(const std::vector<iovec>& pieces) {
  size_t total = 0;
  for (const iovec& piece : pieces) total += piece.iov_len;
  return total;
}

}  // namespace

FrameReader::FrameReader() { payload_.reserve(kMaxEntries); }

absl::Status FrameReader::Read(int fd, Handler& handler, bool& moved) {
  size_t budget = kBudgetBytes;
  while (budget > 0) {
    const size_t wanted = Plan();
    const ssize_t got =
        readv(fd, pieces_.data(), static_cast<int>(pieces_count_));
    if (got < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN) return absl::OkStatus();
      return absl::UnavailableError(
          ErrnoToStatus(errno, "reading from the peer failed").message());
    }
    if (got == 0) {
      return absl::UnavailableError("the peer has closed the connection");
    }
    moved = true;
    const auto bytes = static_cast<size_t>(got);
    TE_RETURN_IF_ERROR(Consume(bytes, handler));
    // A short read says that the socket is empty: spare the call that would
    // say so again.
    if (bytes < wanted) return absl::OkStatus();
    budget -= std::min(budget, bytes);
  }
  return absl::OkStatus();
}

size_t FrameReader::Plan() {
  pieces_count_ = 0;
  size_t wanted = 0;
  if (in_payload_) {
    const size_t left = payload_.size() - payload_next_;
    pieces_count_ = std::min(left, kMaxPieces);
    for (size_t i = 0; i < pieces_count_; ++i) {
      pieces_[i] = payload_[payload_next_ + i];
      wanted += pieces_[i].iov_len;
    }
    if (pieces_count_ < left) return wanted;
  }
  iovec& control = pieces_[pieces_count_++];
  control.iov_base = control_.data() + control_have_;
  control.iov_len = control_need_ - control_have_;
  return wanted + control.iov_len;
}

absl::Status FrameReader::Consume(size_t bytes, Handler& handler) {
  if (in_payload_) {
    ConsumePayload(bytes);
    if (payload_next_ < payload_.size()) return absl::OkStatus();
    TE_RETURN_IF_ERROR(EndPayload(handler));
  }
  control_have_ += bytes;
  if (control_have_ == control_need_) return ConsumeControl(handler);
  return absl::OkStatus();
}

void FrameReader::ConsumePayload(size_t& bytes) {
  while (payload_next_ < payload_.size()) {
    iovec& piece = payload_[payload_next_];
    const size_t part = std::min(bytes, piece.iov_len);
    piece.iov_base = static_cast<std::byte*>(piece.iov_base) + part;
    piece.iov_len -= part;
    bytes -= part;
    if (piece.iov_len > 0) return;
    ++payload_next_;
  }
}

absl::Status FrameReader::ConsumeControl(Handler& handler) {
  TE_ASSIGN_OR_RETURN(const FrameHeader header, DecodeHeader(control_.data()));
  const size_t whole = kHeaderBytes + header.entries * kEntryBytes;
  if (control_have_ < whole) {
    control_need_ = whole;
    return absl::OkStatus();
  }
  // From here on the control buffer collects the next frame.
  control_have_ = 0;
  control_need_ = kFrameStartBytes;
  TE_RETURN_IF_ERROR(
      handler.OnFrame(header, control_.data() + kHeaderBytes, payload_));
  // A system call with empty pieces alone looks like the end of the stream.
  std::erase_if(payload_,
                [](const iovec& piece) { return piece.iov_len == 0; });
  if (const size_t planned = TotalBytes(payload_);
      planned != header.payload_bytes) {
    return absl::DataLossError(absl::StrCat(
        "malformed tcp frame: its header announces ", header.payload_bytes,
        " bytes of payload, its entries ", planned));
  }
  in_payload_ = true;
  if (header.payload_bytes == 0) return EndPayload(handler);
  return absl::OkStatus();
}

absl::Status FrameReader::EndPayload(Handler& handler) {
  in_payload_ = false;
  payload_.clear();
  payload_next_ = 0;
  return handler.OnPayload();
}

}  // namespace te::tcp
