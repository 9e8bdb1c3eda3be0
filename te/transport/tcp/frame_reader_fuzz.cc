// A peer may send any stream of bytes, in any pieces.

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

#include <algorithm>
#include <vector>

#include "absl/status/status.h"
#include "glog/logging.h"
#include "te/base/unique_fd.h"
#include "te/transport/tcp/frame.h"
#include "te/transport/tcp/frame_reader.h"

namespace te::tcp {
namespace {

class Handler final : public FrameReader::Handler {
 public:
  absl::Status OnFrame(const FrameHeader& header, const std::byte* entries,
                       std::vector<iovec>& payload) override {
    CHECK(!waiting_) << "two frames at once";
    waiting_ = true;
    places_.assign(header.entries, {});
    for (uint16_t i = 0; i < header.entries; ++i) {
      const auto entry = DecodeResponse(entries + i * kEntryBytes);
      if (!entry.ok()) return entry.status();
      if (entry->length > 1 << 16) return absl::OutOfRangeError("too long");
      places_[i].resize(entry->length);
      payload.push_back(
          {.iov_base = places_[i].data(), .iov_len = entry->length});
    }
    return absl::OkStatus();
  }
  absl::Status OnPayload() override {
    CHECK(waiting_) << "payload without a frame";
    waiting_ = false;
    return absl::OkStatus();
  }

 private:
  bool waiting_ = false;
  std::vector<std::vector<std::byte>> places_;
};

// The first byte says in what pieces the others come.
void Run(const uint8_t* data, size_t size) {
  int fds[2];
  PCHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0);
  const UniqueFd ours(fds[0]);
  const UniqueFd theirs(fds[1]);
  FrameReader reader;
  Handler handler;
  const size_t most = 1 + (size > 0 ? size_t{data[0]} * data[0] : 0);
  for (size_t at = 1; at < size;) {
    const size_t part = std::min(most, size - at);
    PCHECK(send(theirs.get(), data + at, part, 0) ==
           static_cast<ssize_t>(part));
    at += part;
    bool moved = false;
    if (!reader.Read(ours.get(), handler, moved).ok()) return;
  }
}

}  // namespace
}  // namespace te::tcp

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  te::tcp::Run(data, size);
  return 0;
}
