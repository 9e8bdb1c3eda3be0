#ifndef TE_SIM_FAULT_H_
#define TE_SIM_FAULT_H_

#include <cstdint>

#include "te/base/clock.h"

namespace te::sim {

// What happens to a NIC.
struct Fault {
  // All hosts: it is the switch.
  static constexpr uint32_t kEveryHost = UINT32_MAX;

  uint32_t host = 0;
  uint32_t rail = 0;
  // Times of the simulation, which starts at zero.
  Duration from{};
  Duration until = Duration::max();
  // What is left of its rate. With nothing, what is under way there is lost.
  double fraction = 0;
};

}  // namespace te::sim

#endif  // TE_SIM_FAULT_H_
