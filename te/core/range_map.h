#ifndef TE_CORE_RANGE_MAP_H_
#define TE_CORE_RANGE_MAP_H_

#include <algorithm>
#include <cstdint>
#include <map>

namespace te {

// Values by address range; ranges may overlap. Finds in logarithmic time where
// they do not. Thread-compatible.
template <typename T>
class RangeMap {
 public:
  // `begin` + `length` does not overflow.
  void Insert(uint64_t begin, uint64_t length, T value) {
    longest_ = std::max(longest_, length);
    ranges_.insert({begin, {length, std::move(value)}});
  }

  // Removes one range that begins there and for whose value `matches` holds.
  template <typename Predicate>
  void Erase(uint64_t begin, Predicate matches) {
    const auto [first, last] = ranges_.equal_range(begin);
    const auto found = std::find_if(
        first, last, [&](const auto& r) { return matches(r.second.value); });
    if (found != last) ranges_.erase(found);
  }

  // The value of a range that contains all of [address, address + length) and
  // for which `matches` holds, or nullptr.
  template <typename Predicate>
  const T* Find(uint64_t address, uint64_t length, Predicate matches) const {
    auto range = ranges_.upper_bound(address);
    while (range != ranges_.begin()) {
      --range;
      const uint64_t offset = address - range->first;
      // No range that begins earlier can reach so far.
      if (offset >= longest_) return nullptr;
      const auto& [range_length, value] = range->second;
      if (length <= range_length && offset <= range_length - length &&
          matches(value)) {
        return &value;
      }
    }
    return nullptr;
  }

 private:
  struct Range {
    uint64_t length;
    T value;
  };
  std::multimap<uint64_t, Range> ranges_;
  // Of all ranges there ever were: bounds how far Find looks back.
  uint64_t longest_ = 0;
};

}  // namespace te

#endif  // TE_CORE_RANGE_MAP_H_
