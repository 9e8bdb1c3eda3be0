// An initiator for tests that keep one apart from its target:
//
//   initiator PROTOCOL SEGMENT ADDRESS [USER]
//
// writes to the target's memory, reads it back, and prints over what, as a
// line, or what has failed. With USER, root becomes that user first.
#include <grp.h>
#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iostream>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "te/base/clock.h"
#include "te/base/status_macros.h"
#include "te/transfer_engine.h"

namespace te {
namespace {

constexpr Duration kEnough = std::chrono::seconds(60);
constexpr size_t kBytes = 64 << 10;

bool Become(uid_t user) {
  return setgroups(0, nullptr) == 0 && setgid(user) == 0 && setuid(user) == 0;
}

absl::StatusOr<std::string> TalkTo(const std::string& protocol,
                                   const std::string& segment_name,
                                   uint64_t address) {
  std::vector<std::byte> local(2 * kBytes, std::byte{0x5a});
  Options options;
  options.local_server_name = "127.0.0.1";
  options.protocol = protocol;
  TE_ASSIGN_OR_RETURN(const auto engine, CreateTransferEngine(options));
  TE_RETURN_IF_ERROR(
      engine->RegisterMemory({.address = local.data(), .length = local.size()})
          .status());
  TE_ASSIGN_OR_RETURN(const SegmentId segment,
                      engine->OpenSegment(segment_name, kEnough));
  std::fill(local.begin() + kBytes, local.end(), std::byte{0});
  for (const auto operation : {Operation::kWrite, Operation::kRead}) {
    const bool write = operation == Operation::kWrite;
    const Request request = {.operation = operation,
                             .local = local.data() + (write ? 0 : kBytes),
                             .segment = segment,
                             .remote_address = address,
                             .length = kBytes};
    TE_ASSIGN_OR_RETURN(Batch batch, engine->Submit({&request, 1}));
    if (!batch.Wait(DeadlineAfter(RealClock().Now(), kEnough))) {
      return absl::DeadlineExceededError("the batch hangs");
    }
    TE_RETURN_IF_ERROR(batch.status());
  }
  if (local.front() != local.back()) return absl::DataLossError("other bytes");
  const EngineStatus::Segment status = engine->Status().segments.at(0);
  return absl::StrCat(status.rail, ", not ",
                      absl::StrJoin(status.passed_over, "; "));
}

}  // namespace
}  // namespace te

int main(int argc, char** argv) {
  uint64_t address = 0;
  if (argc < 4 || !absl::SimpleAtoi(argv[3], &address)) return 2;
  uint32_t user = 0;
  if (argc > 4 && (!absl::SimpleAtoi(argv[4], &user) || !te::Become(user))) {
    std::cout << "cannot become user " << argv[4] << std::endl;
    return 2;
  }
  const auto said = te::TalkTo(argv[1], argv[2], address);
  std::cout << (said.ok() ? *said : said.status().ToString()) << std::endl;
  return said.ok() ? 0 : 1;
}
