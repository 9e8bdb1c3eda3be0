#include "te/topology/device_name.h"

#include <algorithm>
#include <cstddef>

#include "absl/strings/ascii.h"
#include "absl/strings/string_view.h"

namespace te {
namespace {

constexpr size_t kMaxName = 64;  // IB_DEVICE_NAME_MAX; IFNAMSIZ is less

size_t CountDigits(absl::string_view text) {
  return static_cast<size_t>(
      std::find_if_not(text.begin(), text.end(), absl::ascii_isdigit) -
      text.begin());
}

absl::string_view WithoutZeros(absl::string_view digits) {
  digits.remove_prefix(std::min(digits.find_first_not_of('0'), digits.size()));
  return digits;
}

}  // namespace

bool IsDeviceName(absl::string_view name) {
  return !name.empty() && name.size() <= kMaxName &&
         std::all_of(name.begin(), name.end(), [](char c) {
           return absl::ascii_isgraph(c) && c != '/' && c != '"' && c != '\'' &&
                  c != '\\' && c != ',';
         });
}

bool DeviceNameLess(absl::string_view a, absl::string_view b) {
  const absl::string_view whole_a = a;
  const absl::string_view whole_b = b;
  while (!a.empty() && !b.empty()) {
    const size_t digits_a = CountDigits(a);
    const size_t digits_b = CountDigits(b);
    if (digits_a > 0 && digits_b > 0) {
      const absl::string_view x = WithoutZeros(a.substr(0, digits_a));
      const absl::string_view y = WithoutZeros(b.substr(0, digits_b));
      if (x.size() != y.size()) return x.size() < y.size();
      if (x != y) return x < y;
      a.remove_prefix(digits_a);
      b.remove_prefix(digits_b);
      continue;
    }
    if (a.front() != b.front()) return a.front() < b.front();
    a.remove_prefix(1);
    b.remove_prefix(1);
  }
  if (a.empty() != b.empty()) return a.empty();
  return whole_a < whole_b;  // they differ in leading zeros, if at all
}

}  // namespace te
