#ifndef TE_TESTING_TARGET_PROCESS_H_
#define TE_TESTING_TARGET_PROCESS_H_

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "te/base/child_process.h"

namespace te {

// A target in a process of its own (target_main.cc), for tests that treat it
// badly. Killed when this object goes, and when the test's process dies.
// Thread-compatible.
class TargetProcess {
 public:
  // Returns when the target can be reached. `arguments`: those of the program.
  static absl::StatusOr<std::unique_ptr<TargetProcess>> Start(
      const std::vector<std::string>& arguments);

  const std::string& segment() const { return segment_; }
  // Of its memory.
  uint64_t address() const { return address_; }

  // See ChildProcess.
  pid_t pid() const { return child_->pid(); }
  absl::StatusOr<std::string> Ask(const std::string& line) {
    return child_->Ask(line);
  }
  void Kill() { child_->Kill(); }
  void Stop() { child_->Stop(); }
  void Continue() { child_->Continue(); }

 private:
  explicit TargetProcess(std::unique_ptr<ChildProcess> child)
      : child_(std::move(child)) {}

  const std::unique_ptr<ChildProcess> child_;
  std::string segment_;
  uint64_t address_ = 0;
};

}  // namespace te

#endif  // TE_TESTING_TARGET_PROCESS_H_
