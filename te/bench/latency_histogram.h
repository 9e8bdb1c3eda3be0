#ifndef TE_BENCH_LATENCY_HISTOGRAM_H_
#define TE_BENCH_LATENCY_HISTOGRAM_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "te/base/clock.h"

namespace te::bench {

// Counts durations in buckets whose width grows with the value, as HDR
// histograms do: 64 buckets for each power of two of nanoseconds. A quantile is
// therefore at most 1/64 above the exact one; short ones are exact. The memory
// is fixed (29 KiB), and recording does not allocate. Thread-compatible.
class LatencyHistogram {
 public:
  // Negative durations count as zero.
  void Record(Duration latency);
  void Add(const LatencyHistogram& other);

  uint64_t count() const { return count_; }
  // The exact longest one; zero if there is none.
  Duration max() const { return Duration(max_); }
  // A duration that at least the share `quantile`, 0 to 1, of those recorded
  // does not exceed; zero if there is none.
  Duration Quantile(double quantile) const;

 private:
  static constexpr int kSubBits = 6;
  static constexpr size_t kSub = size_t{1} << kSubBits;
  // Durations are below 2^63 ns: kSub exact ones, then kSub buckets for each
  // power of two from 2^kSubBits to 2^62.
  static constexpr size_t kBuckets = kSub * (63 - kSubBits + 1);

  static size_t BucketOf(uint64_t nanoseconds);
  // The largest duration that falls into the bucket.
  static uint64_t UpperEnd(size_t bucket);

  std::array<uint64_t, kBuckets> buckets_ = {};
  uint64_t count_ = 0;
  uint64_t max_ = 0;
};

}  // namespace te::bench

#endif  // TE_BENCH_LATENCY_HISTOGRAM_H_
