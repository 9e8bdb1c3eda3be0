#include "te/program/size_text.h"

#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/strip.h"

namespace te::program {
namespace {

constexpr absl::string_view kPrefixes = "KMGT";

}  // namespace

absl::StatusOr<uint64_t> ParseSize(absl::string_view text) {
  std::string rest = absl::AsciiStrToUpper(text);
  absl::string_view digits = rest;
  absl::ConsumeSuffix(&digits, "B");
  const bool binary = absl::ConsumeSuffix(&digits, "I");
  int shift = 0;
  if (!digits.empty() &&
      kPrefixes.find(digits.back()) != absl::string_view::npos) {
    shift = 10 * (static_cast<int>(kPrefixes.find(digits.back())) + 1);
    digits.remove_suffix(1);
  }
  uint64_t number = 0;
  const bool plain = !digits.empty() && absl::ascii_isdigit(digits.front()) &&
                     absl::ascii_isdigit(digits.back());
  if (!plain || (binary && shift == 0) || !absl::SimpleAtoi(digits, &number) ||
      number > UINT64_MAX >> shift) {
    return absl::InvalidArgumentError(absl::StrCat(
        "\"", text, "\" is no number of bytes; write 65536, 64K or 64KiB"));
  }
  return number << shift;
}

std::string FormatSize(uint64_t bytes) {
  if (bytes < 1024) return absl::StrCat(bytes, " B");
  double value = static_cast<double>(bytes);
  size_t prefix = 0;
  for (value /= 1024; value >= 1024 && prefix + 1 < kPrefixes.size();
       ++prefix) {
    value /= 1024;
  }
  const bool even = value == static_cast<double>(static_cast<uint64_t>(value));
  return absl::StrFormat("%.*f %ciB", even ? 0 : 1, value, kPrefixes[prefix]);
}

}  // namespace te::program
