#include "te/transport/shm/process_memory.h"

#include <fcntl.h>
#include <poll.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <string>

#include "absl/strings/str_cat.h"
#include "glog/logging.h"
#include "te/base/errno_status.h"
#include "te/base/status_macros.h"

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
      "both must run as the same user and group, neither have more "
      "capabilities than the other, nor the other have changed its user since "
      "it began (see PR_SET_DUMPABLE), or this one have CAP_SYS_PTRACE; a "
      "container's seccomp filter may forbid it as well";
  if (const char scope = YamaScope(); scope != '0') {
    why = absl::StrCat("kernel.yama.ptrace_scope is ", std::string(1, scope),
                       ", with which it needs CAP_SYS_PTRACE; 0 would allow it "
                       "among processes of one user");
  }
  return absl::PermissionDeniedError(absl::StrCat(
      "the kernel forbids process_vm_readv or process_vm_writev with process ",
      pid, ": ", why));
}

}  // namespace

absl::StatusOr<ProcessMemory> ProcessMemory::Open(
    pid_t pid, uint64_t address, absl::Span<const std::byte> proof) {
  CHECK_EQ(proof.size(), kProofBytes);
  UniqueFd process = OpenProcess(pid);
  if (!process.valid()) {
    return absl::UnavailableError(
        ErrnoToStatus(errno, absl::StrCat("pidfd_open of process ", pid))
            .message());
  }
  ProcessMemory memory(pid, std::move(process));
  std::array<std::byte, kProofBytes> found = {};
  const iovec here = {.iov_base = found.data(), .iov_len = found.size()};
  const iovec there = {.iov_base = reinterpret_cast<void*>(address),
                       .iov_len = found.size()};
  absl::Status why;
  memory.Copy(Operation::kRead, {&here, 1}, {&there, 1}, why);
  if (!why.ok() && !absl::IsInvalidArgument(why)) return why;
  if (!why.ok() || !std::equal(proof.begin(), proof.end(), found.begin())) {
    return absl::UnavailableError(absl::StrCat(
        "process ", pid, " is not the one that the handshake was with"));
  }
  return memory;
}

absl::Status ProcessMemory::TryToWrite(uint64_t scratch) const {
  std::array<std::byte, kProofBytes> bytes = {};
  const iovec here = {.iov_base = bytes.data(), .iov_len = bytes.size()};
  const iovec there = {.iov_base = reinterpret_cast<void*>(scratch),
                       .iov_len = bytes.size()};
  absl::Status why;
  Copy(Operation::kWrite, {&here, 1}, {&there, 1}, why);
  return why;
}

bool ProcessMemory::IsGone() const {
  pollfd polled = {.fd = process_.get(), .events = POLLIN};
  int count = 0;
  do {
    count = poll(&polled, 1, 0);
  } while (count < 0 && errno == EINTR);
  return count != 0;
}

absl::Status ProcessMemory::CopyError(int error) const {
  if (error == EPERM || error == EACCES) return NotAllowed(pid_);
  // The kernel says EFAULT as well of one that is just ending.
  if (error == ESRCH || (error == EFAULT && IsGone())) {
    return absl::UnavailableError(absl::StrCat("process ", pid_, " has ended"));
  }
  if (error == EFAULT) {
    return absl::InvalidArgumentError(absl::StrCat(
        "memory is not mapped, here or in process ", pid_,
        ": was it freed before it was unregistered, or is it of a GPU?"));
  }
  return absl::UnavailableError(
      ErrnoToStatus(error, absl::StrCat("process_vm_readv or process_vm_writev "
                                        "with process ",
                                        pid_))
          .message());
}

size_t ProcessMemory::Copy(Operation operation, absl::Span<const iovec> local,
                           absl::Span<const iovec> remote,
                           absl::Status& why) const {
  CHECK_LE(local.size(), kMaxPieces);
  const auto copy =
      operation == Operation::kRead ? process_vm_readv : process_vm_writev;
  const ssize_t copied = copy(pid_, local.data(), local.size(), remote.data(),
                              remote.size(), /*flags=*/0);
  if (copied < 0) {
    why = CopyError(errno);
    return 0;
  }
  // It ends at the first page that it cannot reach.
  size_t left = static_cast<size_t>(copied);
  size_t done = 0;
  while (done < remote.size() && left >= remote[done].iov_len) {
    left -= remote[done++].iov_len;
  }
  if (done < remote.size()) why = CopyError(EFAULT);
  return done;
}

}  // namespace te::shm
