#include "te/program/exit_status.h"

namespace te::program {

int ExitStatus(const absl::Status& status) {
  constexpr int kFailed = 1;
  constexpr int kBadFlag = 2;
  if (status.ok()) return 0;
  return absl::IsInvalidArgument(status) ? kBadFlag : kFailed;
}

absl::Status AtRunTime(const absl::Status& status) {
  if (!absl::IsInvalidArgument(status)) return status;
  return absl::AbortedError(status.message());
}

}  // namespace te::program
