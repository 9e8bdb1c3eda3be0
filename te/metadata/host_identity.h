#ifndef TE_METADATA_HOST_IDENTITY_H_
#define TE_METADATA_HOST_IDENTITY_H_

#include <stdint.h>

#include <string>

#include "absl/status/statusor.h"

namespace te {

// Where a process runs, so that two can find out whether they share a machine.
// An address does not tell: containers share addresses across hosts, and hosts
// have several. A value type; zero and empty mean that the system did not say.
struct HostIdentity {
  std::string boot_id;  // random at each boot of the kernel
  // Inode numbers of the namespaces.
  uint64_t pid_namespace = 0;
  uint64_t ipc_namespace = 0;
  uint64_t net_namespace = 0;
  uint64_t pid = 0;  // within its namespace
  // Clock ticks since boot. Tells a process from a later one with the same pid.
  uint64_t process_start_time = 0;

  // Of this process, read from `proc_root` (normally /proc). What the system
  // does not offer stays unknown; what cannot be read or understood is an error
  // that names the file. Does blocking file I/O, no network. Thread-safe.
  static absl::StatusOr<HostIdentity> ReadSelf(const std::string& proc_root);

  // Whether both run under one kernel. False when either does not know.
  bool IsOnSameHostAs(const HostIdentity& other) const {
    return !boot_id.empty() && boot_id == other.boot_id;
  }

  // Whether this process has surely ended, as the calling process, `self`, can
  // tell: one that shares kernel and pid namespace with it.
  bool IsGone(const HostIdentity& self) const;

  friend bool operator==(const HostIdentity&, const HostIdentity&) = default;
};

}  // namespace te

#endif  // TE_METADATA_HOST_IDENTITY_H_
