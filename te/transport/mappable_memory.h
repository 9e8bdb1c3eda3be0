#ifndef TE_TRANSPORT_MAPPABLE_MEMORY_H_
#define TE_TRANSPORT_MAPPABLE_MEMORY_H_

#include <cstddef>
#include <string>
#include <utility>

#include "absl/base/attributes.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "te/base/memory_location.h"
#include "te/base/unique_fd.h"
#include "te/transport/huge_pages.h"

namespace te {

// Memory that other processes of this host can map when they are sent its
// descriptor: a memfd_create(2) file, which has no name that others could open,
// and goes when the last of them does. Its length is sealed, so that nobody can
// cut off what others touch. Children of a fork share it, and do not get
// copies. Thread-compatible.
class MappableMemory {
 public:
  // Of no memory.
  MappableMemory() = default;
  MappableMemory(MappableMemory&& other) noexcept { *this = std::move(other); }
  MappableMemory& operator=(MappableMemory&& other) noexcept;
  // Unmaps it. Others that have mapped it keep its pages.
  ~MappableMemory() { Unmap(); }

  // `bytes` of zeros, at least 1. On the NUMA node that `location` names
  // ("cpu:1"), and nowhere else; "*": where this thread's memory comes from.
  // The pages are taken at once, which takes a second for some GiB (since Linux
  // 5.14; ordinary ones otherwise when they are touched).
  //
  // INVALID_ARGUMENT: no length, the memory of a GPU, or a node that does not
  // exist. RESOURCE_EXHAUSTED: there is not so much, and says of what and how
  // much there is. PERMISSION_DENIED: the container may not choose nodes.
  static absl::StatusOr<MappableMemory> Allocate(size_t bytes,
                                                 const MemoryLocation& location,
                                                 HugePages huge_pages);

  // Gives the pages back to the system, also if others still have them mapped:
  // for memory that nobody uses any more. What is read there afterwards is
  // zeros; on huge pages that are reserved, an access may be a SIGBUS, as
  // others may have taken them.
  void Discard();

  std::byte* data() const { return data_; }
  // As asked for; the file may be longer.
  size_t size() const { return size_; }
  // Stays this object's.
  int fd() const { return fd_.get(); }
  // For people: "2 MiB pages (hugetlb)".
  const std::string& pages() const ABSL_ATTRIBUTE_LIFETIME_BOUND {
    return pages_;
  }

 private:
  static absl::StatusOr<MappableMemory> Map(UniqueFd fd, size_t bytes,
                                            size_t page_bytes);
  static absl::StatusOr<MappableMemory> OnReservedPages(
      size_t bytes, const MemoryLocation& location, HugePages huge_pages);
  static absl::StatusOr<MappableMemory> OnOrdinaryPages(
      size_t bytes, const MemoryLocation& location, HugePages huge_pages);
  absl::Status Bind(const MemoryLocation& location);
  absl::Status Populate();
  absl::Status SealLength();
  void Unmap();

  UniqueFd fd_;
  std::byte* data_ = nullptr;
  size_t size_ = 0;
  size_t file_bytes_ = 0;
  std::string pages_;
};

}  // namespace te

#endif  // TE_TRANSPORT_MAPPABLE_MEMORY_H_
