#include "te/bench/latency_histogram.h"

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <random>
#include <vector>

#include "gtest/gtest.h"

namespace te::bench {
namespace {

// The smallest of the sorted values that `quantile` of them do not exceed.
int64_t Exact(const std::vector<int64_t>& sorted, double quantile) {
  const double rank = std::ceil(quantile * static_cast<double>(sorted.size()));
  return sorted[std::max<size_t>(static_cast<size_t>(rank), 1) - 1];
}

TEST(LatencyHistogramTest, EmptyOneIsZero) {
  const LatencyHistogram histogram;
  EXPECT_EQ(histogram.count(), 0u);
  EXPECT_EQ(histogram.Quantile(0.5), Duration(0));
  EXPECT_EQ(histogram.max(), Duration(0));
}

TEST(LatencyHistogramTest, QuantilesAreWithinOneInSixtyFour) {
  std::mt19937_64 random(1);
  // Over seven orders of magnitude, evenly by logarithm.
  std::uniform_real_distribution<double> exponent(0, 7);
  LatencyHistogram histogram;
  std::vector<int64_t> values;
  for (int i = 0; i < 100'000; ++i) {
    const auto value = static_cast<int64_t>(std::pow(10, exponent(random)));
    values.push_back(value);
    histogram.Record(Duration(value));
  }
  std::sort(values.begin(), values.end());
  for (double quantile : {0.0, 0.001, 0.1, 0.5, 0.9, 0.99, 0.999, 1.0}) {
    const int64_t exact = Exact(values, quantile);
    const int64_t found = histogram.Quantile(quantile).count();
    EXPECT_GE(found, exact) << quantile;
    EXPECT_LE(found, exact + exact / 64) << quantile;
  }
  EXPECT_EQ(histogram.max().count(), values.back());
}

TEST(LatencyHistogramTest, ShortOnesAreExact) {
  LatencyHistogram histogram;
  for (int i = 0; i < 64; ++i) histogram.Record(Duration(i));
  for (int i = 1; i <= 64; ++i) {
    EXPECT_EQ(histogram.Quantile(i / 64.0), Duration(i - 1));
  }
}

TEST(LatencyHistogramTest, TakesEveryDuration) {
  LatencyHistogram histogram;
  histogram.Record(Duration::max());
  histogram.Record(Duration(-5));
  for (int bit = 0; bit < 63; ++bit) {
    histogram.Record(Duration(int64_t{1} << bit));
    histogram.Record(Duration((int64_t{1} << bit) - 1));
  }
  EXPECT_EQ(histogram.Quantile(0), Duration(0));
  EXPECT_EQ(histogram.Quantile(1), Duration::max());
}

TEST(LatencyHistogramTest, AddsUp) {
  LatencyHistogram one;
  LatencyHistogram other;
  one.Record(Duration(10));
  other.Record(Duration(20));
  other.Record(Duration(30));
  one.Add(other);
  EXPECT_EQ(one.count(), 3u);
  EXPECT_EQ(one.Quantile(0.5), Duration(20));
  EXPECT_EQ(one.max(), Duration(30));
}

}  // namespace
}  // namespace te::bench
