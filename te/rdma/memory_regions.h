#ifndef TE_RDMA_MEMORY_REGIONS_H_
#define TE_RDMA_MEMORY_REGIONS_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/attributes.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "te/rdma/device.h"
#include "te/rdma/verbs/objects.h"
#include "te/transport/local_memory.h"

namespace te::rdma {

// The registered buffers of this process, as memory regions on every device.
//
// Register and Unregister are thread-safe for different slots; LocalKey asks no
// lock, because who moves bytes has pinned the buffer: it is neither registered
// nor unregistered meanwhile.
class MemoryRegions {
 public:
  // For slots below `max_slots`. The devices outlive the table.
  MemoryRegions(std::vector<Device*> devices, bool relaxed_ordering,
                size_t max_slots);

  // Pins the memory and makes it known to all devices, side by side, which
  // takes some 100 ms per GiB. Peers get the rights of `memory`, and none to
  // memory that allows nothing. Returns the keys for peers: what RemoteKey
  // reads; 0 for a device that has failed for good, which is left out. An error
  // says which device refused, which limit was hit, and what to do; then no
  // device has it.
  absl::StatusOr<std::string> Register(const LocalMemory& memory);
  // Returns when no device touches the memory any more. Does nothing the second
  // time.
  void Unregister(uint32_t slot);

  // Of a registered slot, for work requests of device number `device`.
  uint32_t LocalKey(uint32_t slot, size_t device) const {
    const MemoryRegionObject& region = slots_[slot][device];
    return region ? region->lkey : 0;
  }

 private:
  // In the order of devices_; empty where nothing is registered.
  using Regions = std::vector<MemoryRegionObject>;

  const std::vector<Device*> devices_;
  const bool relaxed_ordering_;
  std::vector<Regions> slots_;
};

// What a peer's MemoryRegions::Register returned: four bytes, little-endian,
// for each of its devices.
inline constexpr size_t kRemoteKeyBytes = 4;

// The key for the peer's device of that number. False if `keys`, which may be
// anything, have none.
inline bool RemoteKey(absl::string_view keys, size_t device, uint32_t& key) {
  if (keys.size() < (device + 1) * kRemoteKeyBytes) return false;
  key = 0;
  for (size_t i = 0; i < kRemoteKeyBytes; ++i) {
    key |= uint32_t{static_cast<uint8_t>(keys[device * kRemoteKeyBytes + i])}
           << (8 * i);
  }
  return true;
}

}  // namespace te::rdma

#endif  // TE_RDMA_MEMORY_REGIONS_H_
