#ifndef TE_BENCH_TARGET_PROCESS_H_
#define TE_BENCH_TARGET_PROCESS_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "te/base/clock.h"
#include "te/base/unique_fd.h"

namespace te::bench {

// A target that runs as a process of its own, from this program's file, until
// this object is destroyed or this process ends, however it ends.
// Thread-compatible.
class TargetProcess {
 public:
  // Starts it with `arguments` besides those that it is watched with, and waits
  // until it is ready. What is wrong with it, it says on stderr itself.
  static absl::StatusOr<std::unique_ptr<TargetProcess>> Start(
      const std::vector<std::string>& arguments, Duration timeout);
  ~TargetProcess();
  TargetProcess(const TargetProcess&) = delete;
  TargetProcess& operator=(const TargetProcess&) = delete;

  const std::string& segment_name() const { return segment_name_; }

 private:
  TargetProcess(pid_t pid, UniqueFd lifeline)
      : pid_(pid), lifeline_(std::move(lifeline)) {}

  absl::Status ReadName(int fd, Duration timeout);
  // Reaps it, by force if it does not end by itself; what became of it.
  std::string End();

  pid_t pid_;
  UniqueFd lifeline_;
  std::string segment_name_;
};

}  // namespace te::bench

#endif  // TE_BENCH_TARGET_PROCESS_H_
