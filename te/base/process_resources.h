// What this process holds, for tests that show that nothing is left behind.

#ifndef TE_BASE_PROCESS_RESOURCES_H_
#define TE_BASE_PROCESS_RESOURCES_H_

#include <sched.h>

#include <cstddef>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "absl/strings/match.h"
#include "absl/strings/string_view.h"
#include "te/base/clock.h"

namespace te {

// With the one that looks.
inline size_t CountOpenDescriptors() {
  using Iterator = std::filesystem::directory_iterator;
  return static_cast<size_t>(
      std::distance(Iterator("/proc/self/fd"), Iterator()));
}

// Of memory, by what /proc/self/maps says of it: "" is all of it.
inline size_t CountMappings(absl::string_view words) {
  std::ifstream maps("/proc/self/maps");
  size_t count = 0;
  for (std::string line; std::getline(maps, line);) {
    if (absl::StrContains(line, words)) ++count;
  }
  return count;
}

// Of all processes: shm_open(3), with names that begin so.
inline size_t CountNamedSharedMemory(absl::string_view prefix) {
  size_t count = 0;
  for (const auto& entry : std::filesystem::directory_iterator("/dev/shm")) {
    if (absl::StartsWith(entry.path().filename().string(), prefix)) ++count;
  }
  return count;
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

}  // namespace te

#endif  // TE_BASE_PROCESS_RESOURCES_H_
