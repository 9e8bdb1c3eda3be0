#ifndef TE_BENCH_PROGRESS_LINE_H_
#define TE_BENCH_PROGRESS_LINE_H_

#include <string>

#include "absl/strings/string_view.h"
#include "te/base/clock.h"
#include "te/bench/rate_unit.h"
#include "te/bench/workload.h"

namespace te::bench {

// What the line says of a workload that has been running for `elapsed`.
std::string DescribeProgress(const Workload& workload, uint64_t bytes,
                             Duration elapsed, Duration duration,
                             const RateUnit& unit, int precision);

// A line at the bottom of a terminal that is written over and over. Does
// nothing where `fd` is no terminal. Thread-compatible.
class ProgressLine {
 public:
  explicit ProgressLine(int fd);
  ~ProgressLine() { Clear(); }
  ProgressLine(const ProgressLine&) = delete;
  ProgressLine& operator=(const ProgressLine&) = delete;

  void Show(absl::string_view text);
  // Removes the line, so that others may write.
  void Clear();

 private:
  void Write(absl::string_view text);

  const int fd_;
  const bool terminal_;
  bool shown_ = false;
};

}  // namespace te::bench

#endif  // TE_BENCH_PROGRESS_LINE_H_
