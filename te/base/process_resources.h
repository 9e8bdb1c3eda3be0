// What this process holds, for tests that show that nothing is left behind.

#ifndef TE_BASE_PROCESS_RESOURCES_H_
#define TE_BASE_PROCESS_RESOURCES_H_

#include <sched.h>

#include <cstddef>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <system_error>

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

// What they are, for people.
inline std::string DescribeOpenDescriptors() {
  std::string all;
  for (const auto& entry :
       std::filesystem::directory_iterator("/proc/self/fd")) {
    // It may have been closed meanwhile.
    std::error_code error;
    all += entry.path().filename().string() + " is " +
           std::filesystem::read_symlink(entry.path(), error).string() + "; ";
  }
  return all;
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

inline size_t CountThreads() {
  using Iterator = std::filesystem::directory_iterator;
  return static_cast<size_t>(
      std::distance(Iterator("/proc/self/task"), Iterator()));
}

// Their names, for people.
inline std::string DescribeThreads() {
  std::string all;
  for (const auto& entry :
       std::filesystem::directory_iterator("/proc/self/task")) {
    std::string name;
    // It may have ended meanwhile.
    if (std::getline(std::ifstream(entry.path() / "comm"), name)) {
      all += name + "; ";
    }
  }
  return all;
}

// The same as AwaitOpenDescriptors, of threads.
inline size_t AwaitThreads(size_t wanted, MonotonicTime deadline) {
  size_t count = CountThreads();
  while (count > wanted && RealClock().Now() < deadline) {
    sched_yield();
    count = CountThreads();
  }
  return count;
}

}  // namespace te

#endif  // TE_BASE_PROCESS_RESOURCES_H_
