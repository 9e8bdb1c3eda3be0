#ifndef TE_BASE_MEMORY_LOCATION_H_
#define TE_BASE_MEMORY_LOCATION_H_

#include <stdint.h>

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace te {

// Where memory lies: a NUMA node ("cpu:0"), a CUDA device ("cuda:1"), or
// anywhere ("*"), which leaves it to the engine to find out. A value type.
class MemoryLocation {
 public:
  enum class Kind : uint8_t { kAny, kCpu, kCuda };

  // Anywhere.
  MemoryLocation() = default;
  static MemoryLocation Cpu(uint16_t node) { return {Kind::kCpu, node}; }
  static MemoryLocation Cuda(uint16_t device) { return {Kind::kCuda, device}; }

  // Reads what ToString prints; INVALID_ARGUMENT quotes anything else.
  static absl::StatusOr<MemoryLocation> Parse(absl::string_view text);
  std::string ToString() const;

  Kind kind() const { return kind_; }
  // The NUMA node or the device; 0 for kAny.
  uint16_t index() const { return index_; }

  friend bool operator==(const MemoryLocation&,
                         const MemoryLocation&) = default;
  // By kind, then by index.
  friend bool operator<(const MemoryLocation& a, const MemoryLocation& b) {
    return a.kind_ != b.kind_ ? a.kind_ < b.kind_ : a.index_ < b.index_;
  }

 private:
  MemoryLocation(Kind kind, uint16_t index) : kind_(kind), index_(index) {}

  Kind kind_ = Kind::kAny;
  uint16_t index_ = 0;
};

}  // namespace te

#endif  // TE_BASE_MEMORY_LOCATION_H_
