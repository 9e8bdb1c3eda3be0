#ifndef TE_BASE_NIC_PREFERENCE_H_
#define TE_BASE_NIC_PREFERENCE_H_

#include <string>
#include <vector>

namespace te {

// The NICs for a memory location, by the names of RDMA devices, best first. A
// value.
struct NicPreference {
  // Equally near.
  std::vector<std::string> preferred;
  // Used when no preferred one works, or all are busy.
  std::vector<std::string> fallback;

  friend bool operator==(const NicPreference&, const NicPreference&) = default;
};

}  // namespace te

#endif  // TE_BASE_NIC_PREFERENCE_H_
