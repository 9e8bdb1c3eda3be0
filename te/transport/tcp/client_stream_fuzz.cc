// A server may answer anything. Every slice comes back once, and nothing but
// the destinations of READs is written to.

#include <stddef.h>
#include <stdint.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "glog/logging.h"
#include "te/base/clock.h"
#include "te/base/incarnation.h"
#include "te/base/unique_fd.h"
#include "te/transport/slice.h"
#include "te/transport/tcp/client_stream.h"
#include "te/transport/tcp/io_loop.h"
#include "te/transport/transport.h"

namespace te::tcp {
namespace {

class CountingSink final : public CompletionSink {
 public:
  void Done(Slice& slice, absl::Status /*status*/) override {
    ++done[slice.request];
  }
  std::array<int, 6> done = {};
};

void Run(const uint8_t* data, size_t size) {
  static const std::shared_ptr<IoLoop> loop =
      *IoLoop::Create("fuzz", Duration::zero());
  int fds[2];
  PCHECK(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, fds) == 0);
  const UniqueFd peer(fds[1]);
  const auto stream = std::make_shared<ClientStream>(
      ClientStream::Options{.self = Incarnation({1}),
                            .peer = Incarnation({2}),
                            .name = "fuzz",
                            .window_bytes = 1 << 20,
                            .checksum = size % 2 == 1},
      UniqueFd(fds[0]), loop, [](const absl::Status&) {});
  CHECK(stream->Start().ok());
  // No callbacks from the loop's thread, so that runs can be repeated.
  stream->BeginPolling();
  constexpr size_t kLength = 16;
  // READs and WRITEs in turn, with untouchable memory between.
  std::vector<std::byte> memory(6 * 2 * kLength, std::byte{0x5a});
  CountingSink sink;
  std::array<Slice, 6> slices;
  std::array<Slice*, 6> pointers;
  for (uint32_t i = 0; i < slices.size(); ++i) {
    slices[i].operation = i % 2 == 0 ? Operation::kRead : Operation::kWrite;
    slices[i].request = i;
    slices[i].local = memory.data() + i * 2 * kLength;
    slices[i].length = kLength;
    slices[i].sink = &sink;
    pointers[i] = &slices[i];
  }
  stream->Post(pointers);
  PCHECK(send(peer.get(), data, size, MSG_NOSIGNAL) ==
         static_cast<ssize_t>(size));
  while (stream->Poll() == Progress::kMoved) continue;
  stream->EndPolling();
  stream->Close(absl::CancelledError("enough"));
  for (const int done : sink.done) CHECK_EQ(done, 1);
  for (size_t i = 0; i < memory.size(); ++i) {
    const bool destination = i % (4 * kLength) < kLength;
    CHECK(destination || memory[i] == std::byte{0x5a}) << i;
  }
}

}  // namespace
}  // namespace te::tcp

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  // What a socket takes at once.
  te::tcp::Run(data, std::min(size, size_t{32} << 10));
  return 0;
}
