#include "te/transport/tcp/frame_writer.h"

#include <sys/socket.h>

#include <algorithm>
#include <cerrno>

#include "te/base/errno_status.h"

namespace te::tcp {

OutgoingFrame::OutgoingFrame() { pieces_.reserve(kMaxEntries + 1); }

void OutgoingFrame::Begin(FrameKind kind, const Incarnation& target) {
  header_ = FrameHeader{.kind = kind, .target = target};
  pieces_.assign(1, iovec{});
  next_ = 0;
}

void OutgoingFrame::AddPayload(std::byte* data, size_t bytes) {
  // A piece that no byte goes out of would never count as sent.
  if (bytes == 0) return;
  pieces_.push_back({.iov_base = data, .iov_len = bytes});
  header_.payload_bytes += bytes;
}

void OutgoingFrame::End() {
  Encode(header_, control_.data());
  pieces_.front() = {.iov_base = control_.data(),
                     .iov_len = kHeaderBytes + header_.entries * kEntryBytes};
}

absl::Status FrameWriter::Write(int fd, Source& source, bool& moved,
                                bool& blocked) {
  for (size_t budget = budget_; budget > 0;) {
    if (!HasFrame(source)) return absl::OkStatus();
    Plan();
    const msghdr message = {.msg_iov = pieces_.data(),
                            .msg_iovlen = pieces_count_};
    const ssize_t sent = sendmsg(fd, &message, MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0) {
      if (errno == EINTR) continue;
      if (errno == EAGAIN) {
        blocked = true;
        return absl::OkStatus();
      }
      return absl::UnavailableError(
          ErrnoToStatus(errno, "writing to the peer failed").message());
    }
    moved = true;
    budget -= std::min(budget, static_cast<size_t>(sent));
    Consume(static_cast<size_t>(sent));
    if (frame_.next_ == frame_.pieces_.size()) {
      in_frame_ = false;
      source.OnSent();
    }
  }
  blocked = HasFrame(source);
  return absl::OkStatus();
}

bool FrameWriter::HasFrame(Source& source) {
  if (!in_frame_) in_frame_ = source.NextFrame(frame_);
  return in_frame_;
}

void FrameWriter::Plan() {
  pieces_count_ = 0;
  size_t room = kMaxBytesPerCall;
  for (size_t i = frame_.next_;
       i < frame_.pieces_.size() && room > 0 && pieces_count_ < kMaxPieces;
       ++i) {
    iovec& piece = pieces_[pieces_count_++];
    piece = frame_.pieces_[i];
    piece.iov_len = std::min(piece.iov_len, room);
    room -= piece.iov_len;
  }
}

void FrameWriter::Consume(size_t bytes) {
  while (bytes > 0) {
    iovec& piece = frame_.pieces_[frame_.next_];
    const size_t part = std::min(bytes, piece.iov_len);
    piece.iov_base = static_cast<std::byte*>(piece.iov_base) + part;
    piece.iov_len -= part;
    bytes -= part;
    if (piece.iov_len == 0) ++frame_.next_;
  }
}

}  // namespace te::tcp
