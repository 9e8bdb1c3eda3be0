#ifndef TE_SIM_STATISTICS_H_
#define TE_SIM_STATISTICS_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "te/base/clock.h"

namespace te::sim {

// Of batches, how long they took.
struct Latencies {
  uint64_t count = 0;
  Duration p50{};
  Duration p99{};
  Duration longest{};
};

// Counts what completes. Times are of the simulation, which starts at zero.
class Statistics {
 public:
  // What is submitted before `warm_up` is over has no latency, and what
  // completes no throughput.
  Statistics(Duration duration, Duration warm_up, Duration bin, size_t rails);

  void SliceDone(size_t rail, uint64_t bytes, Duration now);
  void BatchDone(bool bulk, bool failed, Duration submitted_at, Duration now);

  // Bytes per rail.
  const std::vector<uint64_t>& rail_bytes() const { return rail_bytes_; }
  // Bytes in each bin.
  const std::vector<uint64_t>& bins() const { return bins_; }
  uint64_t bytes() const { return bytes_; }
  uint64_t bytes_after_warm_up() const { return bytes_after_warm_up_; }
  uint64_t completed() const { return completed_; }
  uint64_t failed() const { return failed_; }
  Duration last() const { return last_; }
  // Of those with long requests, or with short ones.
  Latencies latencies(bool bulk) const;

 private:
  const Duration warm_up_;
  const Duration bin_;
  std::vector<uint64_t> rail_bytes_;
  std::vector<uint64_t> bins_;
  uint64_t bytes_ = 0;
  uint64_t bytes_after_warm_up_ = 0;
  uint64_t completed_ = 0;
  uint64_t failed_ = 0;
  Duration last_{};
  std::vector<Duration> bulk_;
  std::vector<Duration> short_;
};

}  // namespace te::sim

#endif  // TE_SIM_STATISTICS_H_
