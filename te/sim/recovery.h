#ifndef TE_SIM_RECOVERY_H_
#define TE_SIM_RECOVERY_H_

#include <optional>
#include <vector>

#include "te/base/clock.h"

namespace te::sim {

// After `from`, how long it takes until a throughput of `level` is reached for
// a while: the mean over `steady` from then on. Nothing: it is not before
// `until`, or that is not known.
std::optional<Duration> TimeToReach(const std::vector<double>& throughputs,
                                    Duration bin, Duration from, Duration until,
                                    double level, Duration steady);

}  // namespace te::sim

#endif  // TE_SIM_RECOVERY_H_
