#ifndef TE_PROGRAM_FLAG_CHECKS_H_
#define TE_PROGRAM_FLAG_CHECKS_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "te/base/clock.h"

namespace te::program {

// What is wrong with the value of a flag, as INVALID_ARGUMENT that begins with
// the flag: "--threads: 0 is out of range; it must be from 1 to 1024".
absl::Status BadFlag(absl::string_view flag, absl::string_view why);
// An error that a flag is to blame for, with its code; OK stays OK.
absl::Status WithFlag(absl::string_view flag, const absl::Status& status);

// NaN is in no range.
absl::Status CheckRange(absl::string_view flag, double value, double low,
                        double high);

// A whole number.
absl::StatusOr<int> IntFlag(absl::string_view flag, int64_t value, int low,
                            int high);
// Bytes, as ParseSize takes them.
absl::StatusOr<uint64_t> SizeFlag(absl::string_view flag,
                                  absl::string_view text, uint64_t low,
                                  uint64_t high);
// A millisecond to eleven days, where nothing else is said.
absl::StatusOr<Duration> SecondsFlag(absl::string_view flag, double seconds,
                                     double low = 1e-3, double high = 1e6);
// At most a second.
absl::StatusOr<Duration> MicrosecondsFlag(absl::string_view flag,
                                          double microseconds);

}  // namespace te::program

#endif  // TE_PROGRAM_FLAG_CHECKS_H_
