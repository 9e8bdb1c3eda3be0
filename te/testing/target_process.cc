#include "te/testing/target_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <sstream>
#include <utility>

#include "absl/strings/str_cat.h"
#include "glog/logging.h"
#include "te/base/errno_status.h"
#include "te/base/status_macros.h"

namespace te {
namespace {

constexpr char kProgram[] = "te/testing/target";
// Within which the target answers, on a slow machine under a sanitizer.
constexpr int kPatienceMs = 120'000;

}  // namespace

absl::StatusOr<std::unique_ptr<TargetProcess>> TargetProcess::Start(
    const std::vector<std::string>& arguments) {
  int input[2];
  int output[2];
  if (pipe2(input, O_CLOEXEC) != 0 || pipe2(output, O_CLOEXEC) != 0) {
    return ErrnoToStatus(errno, "pipe2");
  }
  UniqueFd child_input(input[0]);
  UniqueFd our_input(input[1]);
  UniqueFd our_output(output[0]);
  UniqueFd child_output(output[1]);

  std::vector<char*> argv = {const_cast<char*>(kProgram)};
  for (const std::string& a : arguments) {
    argv.push_back(const_cast<char*>(a.c_str()));
  }
  argv.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, child_input.get(), STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, child_output.get(), STDOUT_FILENO);
  pid_t pid = 0;
  const int error =
      posix_spawn(&pid, kProgram, &actions, nullptr, argv.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return ErrnoToStatus(error, kProgram);

  std::unique_ptr<TargetProcess> process(
      new TargetProcess(pid, std::move(our_input), std::move(our_output)));
  child_output.reset();
  TE_ASSIGN_OR_RETURN(const std::string line, process->ReadLine());
  std::istringstream words(line);
  if (!(words >> process->segment_ >> process->address_)) {
    return absl::InternalError(absl::StrCat("the target said: ", line));
  }
  return process;
}

TargetProcess::~TargetProcess() { Kill(); }

absl::StatusOr<std::string> TargetProcess::Ask(const std::string& line) {
  const std::string text = line + "\n";
  if (write(input_.get(), text.data(), text.size()) < 0) {
    return ErrnoToStatus(errno, "writing to the target process");
  }
  return ReadLine();
}

absl::StatusOr<std::string> TargetProcess::ReadLine() {
  std::string line;
  for (;;) {
    pollfd poller = {.fd = output_.get(), .events = POLLIN, .revents = 0};
    if (poll(&poller, 1, kPatienceMs) != 1) {
      return absl::DeadlineExceededError("the target process does not answer");
    }
    char c = 0;
    if (read(output_.get(), &c, 1) != 1) {
      return absl::UnavailableError("the target process is gone");
    }
    if (c == '\n') return line;
    line.push_back(c);
  }
}

void TargetProcess::Kill() {
  if (pid_ == 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  pid_ = 0;
}

void TargetProcess::Stop() {
  PCHECK(kill(pid_, SIGSTOP) == 0);
  PCHECK(waitpid(pid_, nullptr, WUNTRACED) == pid_);
}

void TargetProcess::Continue() { PCHECK(kill(pid_, SIGCONT) == 0); }

}  // namespace te
