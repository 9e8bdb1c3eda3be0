#ifndef TE_TRANSPORT_SHM_PROCESS_MEMORY_H_
#define TE_TRANSPORT_SHM_PROCESS_MEMORY_H_

#include <sys/types.h>
#include <sys/uio.h>

#include <cstddef>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "te/base/unique_fd.h"
#include "te/transport/slice.h"

namespace te::shm {

// The memory of another process, by process_vm_readv(2) and its sister, which
// copy once, in the kernel. Thread-safe.
class ProcessMemory {
 public:
  // What one call takes (UIO_MAXIOV).
  static constexpr size_t kMaxPieces = 1024;

  // Of a process as this PID namespace numbers it. `proof` is what it has at
  // `address`, as it says by another way: to read the same there shows that it
  // is this one, and that the kernel allows it. PERMISSION_DENIED says which
  // rule of the kernel's forbids it and who can change that.
  static absl::StatusOr<ProcessMemory> Open(pid_t pid, uint64_t address,
                                            absl::Span<const std::byte> proof);

  // Whether the process has ended. Its number may then be another's at any
  // time, so ask before each call.
  bool IsGone() const;

  // Copies pieces in order, local[i] being as long as remote[i]. Returns how
  // many are done; `why` says what has happened to the next one, of which a
  // part may have been copied.
  size_t Copy(Operation operation, absl::Span<const iovec> local,
              absl::Span<const iovec> remote, absl::Status& why) const;

 private:
  ProcessMemory(pid_t pid, UniqueFd process)
      : pid_(pid), process_(std::move(process)) {}

  pid_t pid_;
  UniqueFd process_;  // pidfd_open(2)
};

}  // namespace te::shm

#endif  // TE_TRANSPORT_SHM_PROCESS_MEMORY_H_
