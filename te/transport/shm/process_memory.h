#ifndef TE_TRANSPORT_SHM_PROCESS_MEMORY_H_
#define TE_TRANSPORT_SHM_PROCESS_MEMORY_H_

#include <sys/types.h>
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>
#include <utility>

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
  // Of one call; more gains nothing any more.
  static constexpr size_t kMaxPieces = 64;
  static constexpr size_t kProofBytes = 16;

  // Of a process as this PID namespace numbers it. `proof`, of kProofBytes, is
  // what it has at `address`, as it says by another way: to read the same there
  // shows that it is this one, and that the kernel allows it. PERMISSION_DENIED
  // says which rule of the kernel's forbids it and who can change that.
  static absl::StatusOr<ProcessMemory> Open(pid_t pid, uint64_t address,
                                            absl::Span<const std::byte> proof);

  // Finds out whether the kernel allows to write as well, which some filters
  // forbid alone: writes kProofBytes to `scratch`, which means nothing there.
  absl::Status TryToWrite(uint64_t scratch) const;

  // pidfd_open(2): can be read once the process has ended.
  int pidfd() const { return process_.get(); }
  bool IsGone() const;

  // Copies pieces in order, local[i] being as long as remote[i]. Returns how
  // many are done; `why` says what has happened to the next one, of which a
  // part may have been copied.
  //
  // The kernel goes by the number, which another process may have got by now,
  // or another program (execve(2)): look whether it still lives (LifeSign)
  // before each call, to harm nobody, and after it, to know what was read.
  size_t Copy(Operation operation, absl::Span<const iovec> local,
              absl::Span<const iovec> remote, absl::Status& why) const;

 private:
  ProcessMemory(pid_t pid, UniqueFd process)
      : pid_(pid), process_(std::move(process)) {}

  absl::Status CopyError(int error) const;

  pid_t pid_;
  UniqueFd process_;
};

}  // namespace te::shm

#endif  // TE_TRANSPORT_SHM_PROCESS_MEMORY_H_
