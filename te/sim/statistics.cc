#include "te/sim/statistics.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "te/base/clock.h"

namespace te::sim {

Statistics::Statistics(Duration duration, Duration warm_up, Duration bin,
                       size_t rails)
    : warm_up_(warm_up),
      bin_(bin),
      rail_bytes_(rails),
      bins_(static_cast<size_t>(duration / bin + 1)) {}

void Statistics::SliceDone(size_t rail, uint64_t bytes, Duration now) {
  rail_bytes_[rail] += bytes;
  bytes_ += bytes;
  if (now >= warm_up_) bytes_after_warm_up_ += bytes;
  const auto bin = static_cast<size_t>(now / bin_);
  if (bin < bins_.size()) bins_[bin] += bytes;
}

void Statistics::BatchDone(bool bulk, bool failed, Duration submitted_at,
                           Duration now) {
  last_ = now;
  if (failed) {
    ++failed_;
    return;
  }
  ++completed_;
  if (submitted_at < warm_up_) return;
  (bulk ? bulk_ : short_).push_back(now - submitted_at);
}

Latencies Statistics::latencies(bool bulk) const {
  std::vector<Duration> sorted = bulk ? bulk_ : short_;
  if (sorted.empty()) return {};
  std::sort(sorted.begin(), sorted.end());
  return {.count = sorted.size(),
          .p50 = sorted[sorted.size() / 2],
          .p99 = sorted[sorted.size() * 99 / 100],
          .longest = sorted.back()};
}

}  // namespace te::sim
