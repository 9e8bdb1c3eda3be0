#include "te/bench/progress_line.h"

#include <unistd.h>

#include <algorithm>
#include <chrono>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "te/program/size_text.h"

namespace te::bench {

std::string DescribeProgress(const Workload& workload, uint64_t bytes,
                             Duration elapsed, Duration duration,
                             const RateUnit& unit, int precision) {
  const double seconds = std::chrono::duration<double>(elapsed).count();
  const double all = std::chrono::duration<double>(duration).count();
  return absl::StrFormat(
      "%s %s x %d, %d thread%s: %.1f of %.1f s, %.*f %s/s",
      TrafficName(workload.traffic), program::FormatSize(workload.block_size),
      workload.batch_size, workload.threads, workload.threads == 1 ? "" : "s",
      std::min(seconds, all), all, precision, unit.Rate(bytes, seconds),
      unit.name);
}

ProgressLine::ProgressLine(int fd) : fd_(fd), terminal_(isatty(fd) == 1) {}

void ProgressLine::Show(absl::string_view text) {
  if (!terminal_) return;
  // ECMA-48 EL: erases what the text leaves over of the line before.
  Write(absl::StrCat("\r", text, "\x1b[K"));
  shown_ = true;
}

void ProgressLine::Clear() {
  if (!shown_) return;
  Write("\r\x1b[K");
  shown_ = false;
}

void ProgressLine::Write(absl::string_view text) {
  // A line that is lost does not matter.
  [[maybe_unused]] const ssize_t written = write(fd_, text.data(), text.size());
}

}  // namespace te::bench
