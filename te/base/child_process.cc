#include "te/base/child_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "glog/logging.h"
#include "te/base/errno_status.h"

namespace te {
namespace {

// Within which it answers, on a slow machine under a sanitizer.
constexpr int kPatienceMs = 120'000;

}  // namespace

absl::StatusOr<std::unique_ptr<ChildProcess>> ChildProcess::Start(
    const std::vector<std::string>& argv) {
  CHECK(!argv.empty());
  int input[2];
  int output[2];
  // No pipe: to write to one that nobody reads ends the process (SIGPIPE).
  if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, input) != 0) {
    return ErrnoToStatus(errno, "socketpair");
  }
  const UniqueFd child_input(input[0]);
  UniqueFd our_input(input[1]);
  if (pipe2(output, O_CLOEXEC) != 0) return ErrnoToStatus(errno, "pipe2");
  UniqueFd our_output(output[0]);
  const UniqueFd child_output(output[1]);

  std::vector<char*> arguments;
  for (const std::string& argument : argv) {
    arguments.push_back(const_cast<char*>(argument.c_str()));
  }
  arguments.push_back(nullptr);
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawn_file_actions_adddup2(&actions, child_input.get(), STDIN_FILENO);
  posix_spawn_file_actions_adddup2(&actions, child_output.get(), STDOUT_FILENO);
  pid_t pid = 0;
  const int error = posix_spawnp(&pid, arguments[0], &actions, nullptr,
                                 arguments.data(), environ);
  posix_spawn_file_actions_destroy(&actions);
  if (error != 0) return ErrnoToStatus(error, argv[0]);
  return std::unique_ptr<ChildProcess>(
      new ChildProcess(pid, std::move(our_input), std::move(our_output)));
}

ChildProcess::~ChildProcess() { Kill(); }

absl::StatusOr<std::string> ChildProcess::Ask(const std::string& line) {
  const std::string text = line + "\n";
  if (send(input_.get(), text.data(), text.size(), MSG_NOSIGNAL) < 0) {
    return ErrnoToStatus(errno, "writing to a child process");
  }
  return ReadLine();
}

absl::StatusOr<std::string> ChildProcess::ReadLine() {
  std::string line;
  for (;;) {
    pollfd poller = {.fd = output_.get(), .events = POLLIN, .revents = 0};
    if (poll(&poller, 1, kPatienceMs) != 1) {
      return absl::DeadlineExceededError("the child process does not answer");
    }
    char c = 0;
    if (read(output_.get(), &c, 1) != 1) {
      return absl::UnavailableError("the child process is gone");
    }
    if (c == '\n') return line;
    line.push_back(c);
  }
}

void ChildProcess::Kill() {
  if (pid_ == 0) return;
  kill(pid_, SIGKILL);
  waitpid(pid_, nullptr, 0);
  pid_ = 0;
}

void ChildProcess::Stop() {
  PCHECK(kill(pid_, SIGSTOP) == 0);
  PCHECK(waitpid(pid_, nullptr, WUNTRACED) == pid_);
}

void ChildProcess::Continue() { PCHECK(kill(pid_, SIGCONT) == 0); }

}  // namespace te
