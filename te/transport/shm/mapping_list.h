#ifndef TE_TRANSPORT_SHM_MAPPING_LIST_H_
#define TE_TRANSPORT_SHM_MAPPING_LIST_H_

#include <array>
#include <cstdint>
#include <set>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "te/transport/local_memory.h"
#include "te/transport/shm/mapping_id.h"

namespace te::shm {

// An owner's memory that its peers can map, and who is to hear what of it.
// Thread-compatible.
class MappingList {
 public:
  // Of one peer: the places of the list that it has not been told of as they
  // are now.
  using Untold = std::set<uint32_t>;

  MappingList();

  // Takes in memory that has a descriptor. An invalid id: there is no room, so
  // it cannot be mapped.
  MappingId Add(const LocalMemory& memory);
  // Takes out what is in that slot; an invalid id if nothing is.
  MappingId Remove(uint32_t slot);

  // All that there is, and the mark that it was all (MappingNotice).
  Untold All() const;
  // Sends what is untold, as far as it can. Returns whether the socket is full.
  bool Tell(int socket, Untold& untold) const;

 private:
  struct Entry {
    uint32_t serial = 0;
    bool taken = false;
    uint32_t slot = 0;
    int fd = -1;
    bool writable = false;
  };

  absl::Status Send(int socket, uint32_t index) const;

  std::array<Entry, kMaxMappings> entries_;
  // The one that was given back last is used first.
  std::vector<uint32_t> free_;
  uint32_t last_serial_ = 0;
};

}  // namespace te::shm

#endif  // TE_TRANSPORT_SHM_MAPPING_LIST_H_
