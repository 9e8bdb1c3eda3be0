#include "te/base/memory_location.h"

#include <algorithm>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"

namespace te {

absl::StatusOr<MemoryLocation> MemoryLocation::Parse(absl::string_view text) {
  if (text == "*") return MemoryLocation();
  absl::string_view digits = text;
  Kind kind = Kind::kAny;
  if (absl::ConsumePrefix(&digits, "cpu:")) {
    kind = Kind::kCpu;
  } else if (absl::ConsumePrefix(&digits, "cuda:")) {
    kind = Kind::kCuda;
  }
  uint32_t index;
  // Five digits fill uint16_t; SimpleAtoi alone would take signs and spaces.
  if (kind == Kind::kAny || digits.empty() || digits.size() > 5 ||
      !std::all_of(digits.begin(), digits.end(), absl::ascii_isdigit) ||
      !absl::SimpleAtoi(digits, &index) || index > UINT16_MAX) {
    return absl::InvalidArgumentError(absl::StrCat(
        "unknown memory location '", absl::CHexEscape(text.substr(0, 100)),
        "'; write cpu:N (a NUMA node), cuda:N (a device) or *"));
  }
  return MemoryLocation(kind, static_cast<uint16_t>(index));
}

std::string MemoryLocation::ToString() const {
  switch (kind_) {
    case Kind::kAny:
      return "*";
    case Kind::kCpu:
      return absl::StrCat("cpu:", index_);
    case Kind::kCuda:
      return absl::StrCat("cuda:", index_);
  }
  return "";  // not reached
}

}  // namespace te
