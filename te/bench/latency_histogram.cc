#include "te/bench/latency_histogram.h"

#include <algorithm>
#include <bit>
#include <cmath>

namespace te::bench {

size_t LatencyHistogram::BucketOf(uint64_t nanoseconds) {
  if (nanoseconds < kSub) return nanoseconds;
  const int shift = std::bit_width(nanoseconds) - 1 - kSubBits;
  // The leading bit is always set, so the next kSubBits bits tell the bucket.
  return kSub * (shift + 1) + ((nanoseconds >> shift) - kSub);
}

uint64_t LatencyHistogram::UpperEnd(size_t bucket) {
  if (bucket < kSub) return bucket;
  const size_t shift = bucket / kSub - 1;
  return ((kSub + bucket % kSub + 1) << shift) - 1;
}

void LatencyHistogram::Record(Duration latency) {
  const uint64_t value = std::max<Duration::rep>(latency.count(), 0);
  ++buckets_[BucketOf(value)];
  ++count_;
  max_ = std::max(max_, value);
}

void LatencyHistogram::Add(const LatencyHistogram& other) {
  for (size_t i = 0; i < kBuckets; ++i) buckets_[i] += other.buckets_[i];
  count_ += other.count_;
  max_ = std::max(max_, other.max_);
}

Duration LatencyHistogram::Quantile(double quantile) const {
  const double wanted = std::ceil(quantile * static_cast<double>(count_));
  uint64_t below = 0;
  for (size_t i = 0; i < kBuckets; ++i) {
    below += buckets_[i];
    if (below > 0 && static_cast<double>(below) >= wanted) {
      return Duration(std::min(UpperEnd(i), max_));
    }
  }
  return Duration(max_);
}

}  // namespace te::bench
