#include "te/bench/target_process.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "te/base/errno_status.h"
#include "te/base/status_macros.h"

namespace te::bench {
namespace {

struct Pipe {
  UniqueFd read;
  UniqueFd write;
};

absl::StatusOr<Pipe> MakePipe() {
  int fds[2];
  if (pipe2(fds, O_CLOEXEC) != 0) return ErrnoToStatus(errno, "pipe");
  return Pipe{.read = UniqueFd(fds[0]), .write = UniqueFd(fds[1])};
}

int PollMs(Duration left) {
  return static_cast<int>(
      std::chrono::duration_cast<std::chrono::milliseconds>(left).count() + 1);
}

// Of this process, but for the variables that are meant for the parent: it has
// made flags of them.
std::vector<char*> ChildEnvironment() {
  std::vector<char*> environment;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    if (!absl::StartsWith(*entry, "MC_")) environment.push_back(*entry);
  }
  environment.push_back(nullptr);
  return environment;
}

// The child keeps `inherited`, and gets no signals that a terminal sends to us.
absl::StatusOr<pid_t> Spawn(std::vector<std::string> arguments,
                            const std::vector<int>& inherited) {
  posix_spawn_file_actions_t actions;
  posix_spawn_file_actions_init(&actions);
  posix_spawnattr_t attributes;
  posix_spawnattr_init(&attributes);
  const absl::Cleanup destroy = [&] {
    posix_spawn_file_actions_destroy(&actions);
    posix_spawnattr_destroy(&attributes);
  };
  // Onto itself: takes away close-on-exec.
  for (int fd : inherited) {
    posix_spawn_file_actions_adddup2(&actions, fd, fd);
  }
  posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null",
                                   O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&actions, STDOUT_FILENO, "/dev/null",
                                   O_WRONLY, 0);
  posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETPGROUP);
  std::vector<char*> argv;
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);
  pid_t pid = 0;
  const int error = posix_spawn(&pid, "/proc/self/exe", &actions, &attributes,
                                argv.data(), ChildEnvironment().data());
  if (error != 0) return ErrnoToStatus(error, "start a target process");
  return pid;
}

}  // namespace

absl::StatusOr<std::unique_ptr<TargetProcess>> TargetProcess::Start(
    const std::vector<std::string>& arguments, Duration timeout) {
  TE_ASSIGN_OR_RETURN(Pipe ready, MakePipe());
  TE_ASSIGN_OR_RETURN(Pipe lifeline, MakePipe());
  std::vector<std::string> all = {"transfer_bench", "--mode=target"};
  all.insert(all.end(), arguments.begin(), arguments.end());
  all.push_back(absl::StrCat("--ready_fd=", ready.write.get()));
  all.push_back(absl::StrCat("--lifeline_fd=", lifeline.read.get()));
  TE_ASSIGN_OR_RETURN(
      const pid_t pid,
      Spawn(std::move(all), {ready.write.get(), lifeline.read.get()}));
  ready.write.reset();
  std::unique_ptr<TargetProcess> process(
      new TargetProcess(pid, std::move(lifeline.write)));
  TE_RETURN_IF_ERROR(process->ReadName(ready.read.get(), timeout));
  return process;
}

TargetProcess::~TargetProcess() { End(); }

absl::Status TargetProcess::ReadName(int fd, Duration timeout) {
  const MonotonicTime deadline = DeadlineAfter(RealClock().Now(), timeout);
  while (!absl::EndsWith(segment_name_, "\n")) {
    pollfd ready{.fd = fd, .events = POLLIN, .revents = 0};
    const Duration left = TimeUntil(deadline, RealClock().Now());
    if (left <= Duration::zero()) {
      return absl::DeadlineExceededError(
          "the target process was not ready in time");
    }
    if (poll(&ready, 1, PollMs(left)) <= 0) continue;
    char bytes[512];
    const ssize_t count = read(fd, bytes, sizeof(bytes));
    if (count <= 0) {
      return absl::AbortedError(absl::StrCat(
          "the target process ended before it was ready: it ", End()));
    }
    segment_name_.append(bytes, count);
  }
  segment_name_.pop_back();
  return absl::OkStatus();
}

std::string TargetProcess::End() {
  if (pid_ == 0) return "has ended";
  constexpr int kPatienceMs = 5000;
  lifeline_.reset();
  // Not pidfd_open: glibc 2.36 declares it without extern "C".
  const UniqueFd handle(static_cast<int>(syscall(SYS_pidfd_open, pid_, 0)));
  pollfd ended{.fd = handle.get(), .events = POLLIN, .revents = 0};
  if (poll(&ended, 1, kPatienceMs) <= 0) kill(pid_, SIGKILL);
  int status = 0;
  waitpid(std::exchange(pid_, 0), &status, 0);
  if (WIFSIGNALED(status)) {
    return absl::StrCat("was killed by signal ", WTERMSIG(status));
  }
  return absl::StrCat("exited with ", WEXITSTATUS(status));
}

}  // namespace te::bench
