#include "te/program/flag_checks.h"

#include <chrono>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "te/base/status_macros.h"
#include "te/program/size_text.h"

namespace te::program {
namespace {

absl::Status OutOfRange(absl::string_view flag, absl::string_view value,
                        absl::string_view low, absl::string_view high) {
  return BadFlag(flag, absl::StrCat(value, " is out of range; it must be from ",
                                    low, " to ", high));
}

// Whole numbers as such, and not as 1e+06.
std::string ToText(double value) { return absl::StrFormat("%.15g", value); }

}  // namespace

absl::Status BadFlag(absl::string_view flag, absl::string_view why) {
  return absl::InvalidArgumentError(absl::StrCat("--", flag, ": ", why));
}

absl::Status WithFlag(absl::string_view flag, const absl::Status& status) {
  return absl::Status(status.code(),
                      absl::StrCat("--", flag, ": ", status.message()));
}

absl::Status CheckRange(absl::string_view flag, double value, double low,
                        double high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return OutOfRange(flag, ToText(value), ToText(low), ToText(high));
}

absl::StatusOr<int> IntFlag(absl::string_view flag, int64_t value, int low,
                            int high) {
  if (value >= low && value <= high) return static_cast<int>(value);
  return OutOfRange(flag, absl::StrCat(value), absl::StrCat(low),
                    absl::StrCat(high));
}

absl::StatusOr<uint64_t> SizeFlag(absl::string_view flag,
                                  absl::string_view text, uint64_t low,
                                  uint64_t high) {
  const absl::StatusOr<uint64_t> size = ParseSize(text);
  if (!size.ok()) return WithFlag(flag, size.status());
  if (*size >= low && *size <= high) return size;
  return OutOfRange(flag, text, absl::StrCat(low),
                    absl::StrCat(high, " bytes"));
}

absl::StatusOr<Duration> SecondsFlag(absl::string_view flag, double seconds,
                                     double low, double high) {
  TE_RETURN_IF_ERROR(CheckRange(flag, seconds, low, high));
  return std::chrono::duration_cast<Duration>(
      std::chrono::duration<double>(seconds));
}

absl::StatusOr<Duration> MicrosecondsFlag(absl::string_view flag,
                                          double microseconds) {
  TE_RETURN_IF_ERROR(CheckRange(flag, microseconds, 0, 1e6));
  return std::chrono::nanoseconds(static_cast<int64_t>(microseconds * 1e3));
}

}  // namespace te::program
