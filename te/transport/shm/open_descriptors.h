#ifndef TE_TRANSPORT_SHM_OPEN_DESCRIPTORS_H_
#define TE_TRANSPORT_SHM_OPEN_DESCRIPTORS_H_

#include <sched.h>

#include <cstddef>
#include <filesystem>
#include <iterator>

#include "te/base/clock.h"

namespace te::shm {

// How many descriptors this process has, with the one that looks. For tests.
inline size_t CountOpenDescriptors() {
  return static_cast<size_t>(
      std::distance(std::filesystem::directory_iterator("/proc/self/fd"),
                    std::filesystem::directory_iterator()));
}

// Waits until there are no more than so many, and returns how many there are.
inline size_t AwaitOpenDescriptors(size_t wanted, MonotonicTime deadline) {
  size_t count = CountOpenDescriptors();
  while (count > wanted && RealClock().Now() < deadline) {
    sched_yield();
    count = CountOpenDescriptors();
  }
  return count;
}

}  // namespace te::shm

#endif  // TE_TRANSPORT_SHM_OPEN_DESCRIPTORS_H_
