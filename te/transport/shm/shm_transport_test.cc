#include "te/transport/shm/shm_transport.h"

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/incarnation.h"
#include "te/base/status_matchers.h"
#include "te/transport/exposed_memory.h"
#include "te/transport/shm/shm_options.h"
#include "te/transport/transport.h"
#include "te/transport/transport_conformance.h"

namespace te {
namespace {

using testing::HasSubstr;

ShmParts Parts() { return {.boot_id = "boot", .max_buffers = 16}; }

TransportParam Shm(std::string name, const ShmOptions& options) {
  return {std::move(name),
          [options](const Incarnation& self, ExposedMemory& /*memory*/) {
            return CreateShmTransport(options, self, Parts());
          }};
}

INSTANTIATE_TEST_SUITE_P(
    Shm, TransportConformance,
    testing::Values(
        Shm("WithinProcess", {}),
        Shm("Mapped", {.direct_within_process = false}),
        Shm("MappedByWorkers",
            {.workers = 3, .inline_bytes = 0, .direct_within_process = false}),
        Shm("MappedOnly",
            {.kernel_copies = false, .direct_within_process = false}),
        Shm("ByTheKernel",
            {.map_memory = false, .direct_within_process = false}),
        Shm("ByTheKernelAndWorkers", {.workers = 3,
                                      .inline_bytes = 0,
                                      .map_memory = false,
                                      .direct_within_process = false}),
        Shm("NoWorkers",
            {.workers = 0, .inline_bytes = 0, .direct_within_process = false}),
        Shm("AllInPost", {.inline_bytes = 64 << 20,
                          .map_memory = false,
                          .direct_within_process = false})),
    [](const auto& info) { return info.param.name; });

TEST(ShmTransportTest, NamesTheOptionThatIsWrong) {
  const std::pair<const char*, std::function<void(ShmOptions&)>> cases[] = {
      {"workers", [](ShmOptions& o) { o.workers = -1; }},
      {"inline_bytes", [](ShmOptions& o) { o.inline_bytes = UINT64_MAX; }},
      {"max_peers", [](ShmOptions& o) { o.max_peers = 0; }},
      {"hello_timeout", [](ShmOptions& o) { o.hello_timeout = Duration(0); }},
  };
  for (const auto& [name, spoil] : cases) {
    ShmOptions options;
    spoil(options);
    EXPECT_THAT(CreateShmTransport(options, Incarnation({1}), Parts()),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(name)));
  }
}

}  // namespace
}  // namespace te
