#ifndef TE_TRANSPORT_SHM_SHM_OPTIONS_H_
#define TE_TRANSPORT_SHM_SHM_OPTIONS_H_

#include <chrono>
#include <cstdint>

#include "te/base/clock.h"

namespace te {

struct ShmOptions {
  // Threads that copy what nobody waits for, or what is more than one thread
  // should copy alone: so many for each NUMA node, bound to the CPUs next to it
  // that the process may use; memory of this process is copied by those of its
  // node. On a machine of one node, or of unknown ones, they are not bound.
  // 0 to 64. 0: whoever posts copies everything, however much, before Post
  // returns.
  int workers = 1;
  // Slices of a Post are copied within it if they have no more bytes together;
  // others are left to those who wait, and to the workers. 0 to 64 MiB.
  uint64_t inline_bytes = 1 << 20;
  // How many rails peers may have to this process at most. 1 to 65,536.
  int max_peers = 4096;
  // How long a connection may stay without saying whose it is, and a peer that
  // was promised one without connecting.
  Duration hello_timeout = std::chrono::seconds(10);
  // Memory that its owner has allocated through its engine is mapped, and then
  // copied as any other. Off: by the kernel, as what others have allocated.
  bool map_memory = true;
  // Off: nothing is copied by the kernel, as where it does not allow that; then
  // only mapped memory is reached. For tests.
  bool kernel_copies = true;
  // Between engines of one process memory is copied as any other. Off: by the
  // kernel, as between processes; for tests.
  bool direct_within_process = true;
};

}  // namespace te

#endif  // TE_TRANSPORT_SHM_SHM_OPTIONS_H_
