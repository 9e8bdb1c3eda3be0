#ifndef TE_BENCH_RATE_UNIT_H_
#define TE_BENCH_RATE_UNIT_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace te::bench {

// What throughput is printed in: GB|GiB|Gb|MB|MiB|Mb|KB|KiB|Kb, each per
// second; a small b means bits. A value.
struct RateUnit {
  std::string name = "GB";
  double bytes = 1e9;

  // INVALID_ARGUMENT lists the units there are.
  static absl::StatusOr<RateUnit> Parse(absl::string_view name);

  // Zero if no time has passed.
  double Rate(uint64_t transferred_bytes, double seconds) const {
    return seconds > 0
               ? static_cast<double>(transferred_bytes) / seconds / bytes
               : 0;
  }
};

}  // namespace te::bench

#endif  // TE_BENCH_RATE_UNIT_H_
