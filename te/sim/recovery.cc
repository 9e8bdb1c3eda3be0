#include "te/sim/recovery.h"

#include <algorithm>
#include <cstddef>
#include <numeric>
#include <optional>
#include <vector>

#include "te/base/clock.h"

namespace te::sim {

std::optional<Duration> TimeToReach(const std::vector<double>& throughputs,
                                    Duration bin, Duration from, Duration until,
                                    double level, Duration steady) {
  const auto window = static_cast<size_t>(std::max<int64_t>(1, steady / bin));
  const auto end =
      std::min(static_cast<size_t>(until / bin), throughputs.size());
  // The bin in which `from` is has also what came before.
  for (auto i = static_cast<size_t>((from + bin - Duration(1)) / bin);
       i + window <= end; ++i) {
    const auto first = throughputs.begin() + static_cast<std::ptrdiff_t>(i);
    const double sum = std::accumulate(
        first, first + static_cast<std::ptrdiff_t>(window), 0.0);
    if (sum >= level * static_cast<double>(window)) {
      return static_cast<Duration::rep>(i) * bin - from;
    }
  }
  return std::nullopt;
}

}  // namespace te::sim
