#include "te/topology/page_sizes.h"

#include <errno.h>
#include <unistd.h>

#include <algorithm>
#include <fstream>
#include <istream>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "te/base/errno_status.h"

namespace te {
namespace {

// What the kernel says of a mapping, in bytes.
struct Mapping {
  uint64_t begin = 0;
  uint64_t end = 0;
  uint64_t page = 0;
  uint64_t resident = 0;
  // Transparent.
  uint64_t huge = 0;
  // Whether what is touched from now on would come in transparent ones.
  bool huge_from_now = false;
};

// "7f0000000000-7f0000200000 rw-p 00000000 00:00 0"
bool ParseRange(absl::string_view line, Mapping& mapping) {
  const absl::string_view range = line.substr(0, line.find(' '));
  const size_t dash = range.find('-');
  if (dash == absl::string_view::npos) return false;
  uint64_t begin = 0;
  uint64_t end = 0;
  if (!absl::SimpleHexAtoi(range.substr(0, dash), &begin) ||
      !absl::SimpleHexAtoi(range.substr(dash + 1), &end) || begin >= end) {
    return false;
  }
  mapping = {.begin = begin, .end = end};
  return true;
}

// "Rss:                  12 kB"
void ParseField(absl::string_view line, Mapping& mapping) {
  const size_t colon = line.find(':');
  if (colon == absl::string_view::npos) return;
  const absl::string_view name = line.substr(0, colon);
  absl::string_view text = line.substr(colon + 1);
  absl::ConsumeSuffix(&text, " kB");
  uint64_t value = 0;
  if (!absl::SimpleAtoi(absl::StripAsciiWhitespace(text), &value)) return;
  // No mapping is larger.
  const uint64_t bytes = std::min(value, UINT64_MAX >> 11) << 10;
  if (name == "KernelPageSize") {
    mapping.page = bytes;
  } else if (name == "Rss") {
    mapping.resident = bytes;
  } else if (name == "AnonHugePages" || name == "ShmemPmdMapped" ||
             name == "FilePmdMapped") {
    mapping.huge = std::min(mapping.huge + bytes, UINT64_MAX >> 1);
  } else if (name == "THPeligible") {
    mapping.huge_from_now = value != 0;
  }
}

// Of all its bytes.
uint64_t SmallBytes(const Mapping& mapping) {
  // Reserved huge pages.
  if (mapping.page > static_cast<uint64_t>(getpagesize())) return 0;
  const uint64_t size = mapping.end - mapping.begin;
  const uint64_t all =
      mapping.huge_from_now ? std::min(mapping.resident, size) : size;
  return all - std::min(mapping.huge, all);
}

void Add(const Mapping& mapping, uint64_t address, uint64_t end,
         PageSizes& sizes) {
  const uint64_t first = std::max(mapping.begin, address);
  const uint64_t last = std::min(mapping.end, end);
  if (first >= last) return;
  const uint64_t bytes = last - first;
  const double share = static_cast<double>(SmallBytes(mapping)) /
                       static_cast<double>(mapping.end - mapping.begin);
  // A double may be larger than all 64-bit numbers.
  const uint64_t small =
      share < 1 ? static_cast<uint64_t>(share * static_cast<double>(bytes))
                : bytes;
  sizes.small_bytes += small;
  sizes.huge_bytes += bytes - small;
}

}  // namespace

PageSizes ParsePageSizes(std::istream& smaps, uint64_t address,
                         uint64_t length) {
  const uint64_t end = address + std::min(length, UINT64_MAX - address);
  PageSizes sizes;
  Mapping mapping;
  for (std::string line; std::getline(smaps, line);) {
    Mapping next;
    if (!ParseRange(line, next)) {
      ParseField(line, mapping);
      continue;
    }
    // They are in order, and no two overlap.
    if (next.begin < mapping.end) continue;
    Add(mapping, address, end, sizes);
    mapping = next;
    if (mapping.begin >= end) break;
  }
  Add(mapping, address, end, sizes);
  return sizes;
}

absl::StatusOr<PageSizes> FindPageSizes(const std::string& smaps,
                                        uint64_t address, uint64_t length) {
  std::ifstream file(smaps);
  if (!file) return ErrnoToStatus(errno, absl::StrCat("open ", smaps));
  return ParsePageSizes(file, address, length);
}

}  // namespace te
