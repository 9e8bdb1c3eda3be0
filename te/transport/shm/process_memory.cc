#include "te/transport/shm/process_memory.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>
#include <vector>

#include "absl/strings/str_cat.h"
#include "glog/logging.h"
#include "te/base/errno_status.h"

namespace te::shm {
namespace {

// The C library has no function for it in Debian 11.
UniqueFd OpenProcess(pid_t pid) {
  return UniqueFd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
}

// kernel.yama.ptrace_scope; '0' where the kernel has no Yama.
char YamaScope() {
  const UniqueFd file(
      open("/proc/sys/kernel/yama/ptrace_scope", O_RDONLY | O_CLOEXEC));
  char scope = '0';
  if (file.valid() && read(file.get(), &scope, 1) != 1) scope = '0';
  return scope;
}

// ptrace(2), "Ptrace access mode checking".
absl::Status NotAllowed(pid_t pid) {
  std::string why =
      "both must run as the same user and group, and neither have more "
      "capabilities than the other, or this one have CAP_SYS_PTRACE; a "
      "container's seccomp filter may forbid it as well";
  if (const char scope = YamaScope(); scope != '0') {
    why = absl::StrCat("kernel.yama.ptrace_scope is ", std::string(1, scope),
                       ", with which it needs CAP_SYS_PTRACE; 0 would allow it "
                       "among processes of one user");
  }
  return absl::PermissionDeniedError(absl::StrCat(
      "the kernel forbids process_vm_readv of process ", pid, ": ", why));
}

absl::Status CopyError(int error, pid_t pid) {
  if (error == EPERM || error == EACCES) return NotAllowed(pid);
  if (error == ESRCH) {
    return absl::UnavailableError(absl::StrCat("process ", pid, " has ended"));
  }
  if (error == EFAULT) {
    return absl::InvalidArgumentError(absl::StrCat(
        "memory is not mapped, here or in process ", pid,
        ": was it freed before it was unregistered, or is it of a GPU?"));
  }
  return absl::UnavailableError(
      ErrnoToStatus(error, absl::StrCat("process_vm_readv or process_vm_writev "
                                        "with process ",
                                        pid))
          .message());
}

}  // namespace

absl::StatusOr<ProcessMemory> ProcessMemory::Open(
    pid_t pid, uint64_t address, absl::Span<const std::byte> proof) {
  UniqueFd process = OpenProcess(pid);
  if (!process.valid()) {
    return ErrnoToStatus(errno, absl::StrCat("pidfd_open of process ", pid));
  }
  ProcessMemory memory(pid, std::move(process));
  std::vector<std::byte> found(proof.size());
  const iovec local = {.iov_base = found.data(), .iov_len = found.size()};
  const iovec remote = {.iov_base = reinterpret_cast<void*>(address),
                        .iov_len = proof.size()};
  absl::Status why;
  if (memory.Copy(Operation::kRead, {&local, 1}, {&remote, 1}, why) != 1) {
    return why;
  }
  if (memcmp(found.data(), proof.data(), proof.size()) != 0) {
    return absl::UnavailableError(absl::StrCat(
        "process ", pid, " is not the one that the handshake was with"));
  }
  return memory;
}

bool ProcessMemory::IsGone() const {
  pollfd polled = {.fd = process_.get(), .events = POLLIN};
  return poll(&polled, 1, 0) != 0;
}

size_t ProcessMemory::Copy(Operation operation, absl::Span<const iovec> local,
                           absl::Span<const iovec> remote,
                           absl::Status& why) const {
  CHECK_LE(local.size(), kMaxPieces);
  const auto copy =
      operation == Operation::kRead ? process_vm_readv : process_vm_writev;
  const ssize_t copied =
      copy(pid_, local.data(), local.size(), remote.data(), remote.size(), 0);
  if (copied < 0) {
    why = CopyError(errno, pid_);
    return 0;
  }
  // It ends at the first page that it cannot reach.
  size_t left = static_cast<size_t>(copied);
  size_t done = 0;
  while (done < remote.size() && left >= remote[done].iov_len) {
    left -= remote[done++].iov_len;
  }
  if (done < remote.size()) why = CopyError(EFAULT, pid_);
  return done;
}

}  // namespace te::shm
