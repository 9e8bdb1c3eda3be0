#ifndef TE_BASE_CHILD_PROCESS_H_
#define TE_BASE_CHILD_PROCESS_H_

#include <sys/types.h>

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "te/base/unique_fd.h"

namespace te {

// A program that answers lines with lines, for tests that treat it badly.
// Killed when this object goes. Thread-compatible.
class ChildProcess {
 public:
  // `argv`: the path of the program, or its name in PATH, and its arguments.
  static absl::StatusOr<std::unique_ptr<ChildProcess>> Start(
      const std::vector<std::string>& argv);
  ~ChildProcess();

  pid_t pid() const { return pid_; }

  // Sends a line and returns the answer; an error if the process is gone.
  absl::StatusOr<std::string> Ask(const std::string& line);
  // The next line that it says by itself.
  absl::StatusOr<std::string> ReadLine();

  // SIGKILL, and waits until the process is gone.
  void Kill();
  // SIGSTOP, and waits until it has stopped; SIGCONT.
  void Stop();
  void Continue();

 private:
  ChildProcess(pid_t pid, UniqueFd input, UniqueFd output)
      : pid_(pid), input_(std::move(input)), output_(std::move(output)) {}

  pid_t pid_;
  UniqueFd input_;
  UniqueFd output_;
};

}  // namespace te

#endif  // TE_BASE_CHILD_PROCESS_H_
