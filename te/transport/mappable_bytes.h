#ifndef TE_TRANSPORT_MAPPABLE_BYTES_H_
#define TE_TRANSPORT_MAPPABLE_BYTES_H_

#include <cstddef>
#include <cstring>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "glog/logging.h"
#include "te/base/memory_location.h"
#include "te/transport/huge_pages.h"
#include "te/transport/mappable_memory.h"

namespace te {

// For tests: bytes, zeros at first, of memory that other processes can map. A
// copy is other memory with the same bytes. Thread-compatible.
class MappableBytes {
 public:
  explicit MappableBytes(size_t size) : memory_(Allocate(size)) {}
  MappableBytes(const MappableBytes& other) : MappableBytes(other.size()) {
    memcpy(data(), other.data(), size());
  }
  MappableBytes(MappableBytes&&) = default;
  MappableBytes& operator=(MappableBytes&&) = default;

  std::byte* data() const { return memory_.data(); }
  size_t size() const { return memory_.size(); }
  std::byte* begin() const { return data(); }
  std::byte* end() const { return data() + size(); }
  // LocalMemory::fd, of memory that begins where this does.
  int fd() const { return memory_.fd(); }

  friend bool operator==(const MappableBytes& a, const MappableBytes& b) {
    return absl::MakeConstSpan(a) == absl::MakeConstSpan(b);
  }

 private:
  static MappableMemory Allocate(size_t size) {
    absl::StatusOr<MappableMemory> memory =
        MappableMemory::Allocate(size, MemoryLocation(), HugePages::kNever);
    CHECK(memory.ok()) << memory.status();
    return *std::move(memory);
  }

  MappableMemory memory_;
};

}  // namespace te

#endif  // TE_TRANSPORT_MAPPABLE_BYTES_H_
