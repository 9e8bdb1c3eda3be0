#ifndef TE_BENCH_REPORT_H_
#define TE_BENCH_REPORT_H_

#include <cstdint>
#include <memory>
#include <ostream>
#include <string>

#include "te/bench/latency_histogram.h"
#include "te/bench/rate_unit.h"
#include "te/bench/workload.h"

namespace te::bench {

// What was measured for one workload.
struct Row {
  std::string transport;
  Workload workload;
  double duration_s = 0;
  uint64_t batches = 0;
  uint64_t requests = 0;
  uint64_t bytes = 0;
  // Of batches, from submission to completion.
  LatencyHistogram latency;
  uint64_t verified_bytes = 0;
  // Requests that failed, or whose data were wrong.
  uint64_t errors = 0;
};

// Prints the rows as they come in. Thread-compatible.
class Report {
 public:
  virtual ~Report() = default;

  virtual void Add(const Row& row) = 0;
  // After the last row.
  virtual void Finish() = 0;
};

// A table for people, and at the end the line that scripts look for:
//   Test completed: duration 10.01, batch count 12375, throughput 10.37 GB/s
// `out` must outlive it.
std::unique_ptr<Report> MakeTableReport(std::ostream& out, RateUnit unit,
                                        int precision);

// One JSON object a line and row, and nothing else. `out` must outlive it.
std::unique_ptr<Report> MakeJsonReport(std::ostream& out);

}  // namespace te::bench

#endif  // TE_BENCH_REPORT_H_
