#include "te/bench/rate_unit.h"

#include "absl/strings/str_cat.h"

namespace te::bench {
namespace {

struct Unit {
  absl::string_view name;
  double bytes;
};

constexpr Unit kUnits[] = {
    {"GB", 1e9}, {"GiB", 1 << 30}, {"Gb", 1e9 / 8},
    {"MB", 1e6}, {"MiB", 1 << 20}, {"Mb", 1e6 / 8},
    {"KB", 1e3}, {"KiB", 1 << 10}, {"Kb", 1e3 / 8},
};

}  // namespace

absl::StatusOr<RateUnit> RateUnit::Parse(absl::string_view name) {
  for (const Unit& unit : kUnits) {
    if (unit.name == name) {
      return RateUnit{.name = std::string(name), .bytes = unit.bytes};
    }
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "\"", name, "\" is no unit; there are GB|GiB|Gb|MB|MiB|Mb|KB|KiB|Kb"));
}

}  // namespace te::bench
