#ifndef TE_TRANSPORT_SHM_MAPPING_ID_H_
#define TE_TRANSPORT_SHM_MAPPING_ID_H_

#include <cstdint>

namespace te::shm {

// How many files of one owner its peers map at most.
inline constexpr uint32_t kMaxMappings = 1024;

// Names a file of an owner's that its peers map: a place in their tables, and
// which of those that have been there. The default one names nothing.
struct MappingId {
  // Below kMaxMappings.
  uint32_t index = 0;
  // From 1 on, and in the order in which the owner has allocated them.
  uint32_t serial = 0;

  bool valid() const { return serial != 0; }
  friend bool operator==(const MappingId&, const MappingId&) = default;
};

}  // namespace te::shm

#endif  // TE_TRANSPORT_SHM_MAPPING_ID_H_
