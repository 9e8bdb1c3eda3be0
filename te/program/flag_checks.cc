#include "te/program/flag_checks.h"

#include <chrono>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "te/base/status_macros.h"
#include "te/program/size_text.h"

namespace te::program {

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
  // %.15g: integers as such, and not as 1e+06.
  return BadFlag(
      flag, absl::StrFormat("%.15g is out of range; it must be from %.15g to "
                            "%.15g",
                            value, low, high));
}

absl::StatusOr<int> IntFlag(absl::string_view flag, int64_t value, int low,
                            int high) {
  TE_RETURN_IF_ERROR(CheckRange(flag, static_cast<double>(value), low, high));
  return static_cast<int>(value);
}

absl::StatusOr<uint64_t> SizeFlag(absl::string_view flag,
                                  absl::string_view text, uint64_t low,
                                  uint64_t high) {
  const absl::StatusOr<uint64_t> size = ParseSize(text);
  if (!size.ok()) return WithFlag(flag, size.status());
  if (*size < low || *size > high) {
    return BadFlag(flag,
                   absl::StrCat(text, " is out of range; it must be from ", low,
                                " to ", high, " bytes"));
  }
  return size;
}

absl::StatusOr<Duration> SecondsFlag(absl::string_view flag, double seconds,
                                     double low, double high) {
  TE_RETURN_IF_ERROR(CheckRange(flag, seconds, low, high));
  return std::chrono::duration_cast<Duration>(
      std::chrono::duration<double>(seconds));
}

}  // namespace te::program
