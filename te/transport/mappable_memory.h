#ifndef TE_TRANSPORT_MAPPABLE_MEMORY_H_
#define TE_TRANSPORT_MAPPABLE_MEMORY_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "te/base/memory_location.h"
#include "te/base/unique_fd.h"

namespace te {

enum class HugePages : uint8_t {
  kIfAvailable,  // reserved ones (hugetlb), else transparent ones, else none
  kRequired,     // reserved ones, or an error
  kNever,
};

// Memory that other processes of this host can map when they are sent its
// descriptor: a memfd_create(2) file, which has no name that others could open,
// and goes when the last of them does. Its length is sealed. Thread-compatible.
class MappableMemory {
 public:
  MappableMemory() = default;
  MappableMemory(MappableMemory&& other) noexcept { *this = std::move(other); }
  MappableMemory& operator=(MappableMemory&& other) noexcept;
  // Unmaps it. Others that have mapped it keep its pages.
  ~MappableMemory();

  // `bytes` of zeros, at least 1. On the NUMA node that `location` names
  // ("cpu:1"); "*": on those of the threads that touch its pages first.
  // INVALID_ARGUMENT: an empty length, or the memory of a GPU.
  // RESOURCE_EXHAUSTED: there is not so much, and says of what.
  static absl::StatusOr<MappableMemory> Allocate(size_t bytes,
                                                 const MemoryLocation& location,
                                                 HugePages huge_pages);

  // Gives the pages back to the system, also if others still have them mapped:
  // for memory that nobody uses any more. What is read there afterwards is
  // zeros.
  void Discard();

  std::byte* data() const { return data_; }
  // As asked for; the file may be longer.
  size_t size() const { return size_; }
  int fd() const { return fd_.get(); }
  // For people: "2 MiB pages (hugetlb)".
  const std::string& pages() const { return pages_; }

 private:
  UniqueFd fd_;
  std::byte* data_ = nullptr;
  size_t size_ = 0;
  size_t file_bytes_ = 0;
  std::string pages_;
};

}  // namespace te

#endif  // TE_TRANSPORT_MAPPABLE_MEMORY_H_
