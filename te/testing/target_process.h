#ifndef TE_TESTING_TARGET_PROCESS_H_
#define TE_TESTING_TARGET_PROCESS_H_

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "te/base/unique_fd.h"

namespace te {

// A target in a process of its own (target_main.cc), for tests that treat it
// badly. Killed when this object goes, and when the test's process dies.
// Thread-compatible.
class TargetProcess {
 public:
  // Returns when the target can be reached. `arguments`: those of the program.
  static absl::StatusOr<std::unique_ptr<TargetProcess>> Start(
      const std::vector<std::string>& arguments);
  ~TargetProcess();

  const std::string& segment() const { return segment_; }
  // Of its memory.
  uint64_t address() const { return address_; }

  // Sends a line and returns the answer; an error if the process is gone.
  absl::StatusOr<std::string> Ask(const std::string& line);

  // SIGKILL, and waits until the process is gone.
  void Kill();
  // SIGSTOP, and waits until it has stopped; SIGCONT.
  void Stop();
  void Continue();

 private:
  TargetProcess(pid_t pid, UniqueFd input, UniqueFd output)
      : pid_(pid), input_(std::move(input)), output_(std::move(output)) {}

  absl::StatusOr<std::string> ReadLine();

  pid_t pid_;
  UniqueFd input_;
  UniqueFd output_;
  std::string segment_;
  uint64_t address_ = 0;
};

}  // namespace te

#endif  // TE_TESTING_TARGET_PROCESS_H_
