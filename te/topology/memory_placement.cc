#include "te/topology/memory_placement.h"

#include <stddef.h>
#include <stdint.h>

#include <algorithm>
#include <array>
#include <bit>
#include <map>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "glog/logging.h"
#include "te/base/memory_location.h"

namespace te {
namespace {

// In one call: more do not make a page cheaper.
constexpr size_t kPagesPerCall = 512;

// The finalizer of MurmurHash3 and SplitMix64.
uint64_t Mix(uint64_t x) {
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9;
  x = (x ^ (x >> 27)) * 0x94d049bb133111eb;
  return x ^ (x >> 31);
}

}  // namespace

MemoryPlacement MemoryPlacement::Find(uint64_t address, uint64_t length,
                                      const PlacementOptions& options) {
  CHECK_GE(length, 1u);
  CHECK_LE(length - 1, UINT64_MAX - address);
  CHECK(std::has_single_bit(options.page_bytes)) << options.page_bytes;
  // One block would not do for a buffer across the middle of the addresses.
  CHECK_GE(options.max_pages, 2u);
  const uint64_t last = address + (length - 1);
  const int page_shift = std::countr_zero(options.page_bytes);
  MemoryPlacement placement;
  int& shift = placement.block_shift_;
  shift = page_shift;
  while ((last >> shift) - (address >> shift) >= options.max_pages) ++shift;
  placement.sampled_ = shift > page_shift;
  placement.length_ = length;
  placement.lead_ = address & (placement.block_bytes() - 1);
  placement.nodes_.assign((last >> shift) - (address >> shift) + 1, kUnknown);
  placement.Ask(address, options);
  placement.Summarize();
  return placement;
}

void MemoryPlacement::Ask(uint64_t address, const PlacementOptions& options) {
  const int page_shift = std::countr_zero(options.page_bytes);
  const int pages_shift = block_shift_ - page_shift;  // of a block
  const uint64_t first_page = address >> page_shift;
  const uint64_t last_page = (address + (length_ - 1)) >> page_shift;
  const uint64_t first_block = address >> block_shift_;
  const auto sample = [&](uint64_t block) {
    const uint64_t first = std::max(block << pages_shift, first_page);
    const uint64_t last = std::min(((block + 1) << pages_shift) - 1, last_page);
    const uint64_t page = first + Mix(block) % (last - first + 1);
    return reinterpret_cast<void*>(page << page_shift);
  };
  std::array<void*, kPagesPerCall> pages;
  std::array<int, kPagesPerCall> nodes;
  for (size_t begin = 0; begin < nodes_.size(); begin += kPagesPerCall) {
    const size_t count = std::min(nodes_.size() - begin, kPagesPerCall);
    for (size_t i = 0; i < count; ++i) {
      pages[i] = sample(first_block + begin + i);
    }
    status_ = options.find_page_nodes(absl::MakeConstSpan(pages.data(), count),
                                      absl::MakeSpan(nodes.data(), count));
    if (!status_.ok()) return;
    for (size_t i = 0; i < count; ++i) {
      if (nodes[i] >= 0 && nodes[i] <= INT16_MAX) {
        nodes_[begin + i] = static_cast<Node>(nodes[i]);
      }
    }
  }
}

void MemoryPlacement::Summarize() {
  // What is unknown is less than any node.
  const auto [least, most] = std::minmax_element(nodes_.begin(), nodes_.end());
  Node least_known = *most;
  for (const Node node : nodes_) {
    if (node != kUnknown) least_known = std::min(least_known, node);
  }
  if (least_known == *most) single_ = LocationOf(*most);
  // Gives the storage back too.
  if (*least == *most) nodes_ = std::vector<Node>();
}

std::map<uint16_t, uint64_t> MemoryPlacement::BytesPerNode() const {
  std::map<uint16_t, uint64_t> bytes;
  for (const Run& run : Runs()) {
    if (run.location == MemoryLocation()) continue;
    bytes[run.location.index()] += run.length;
  }
  return bytes;
}

std::vector<MemoryPlacement::Run> MemoryPlacement::Runs() const {
  std::vector<Run> runs;
  uint64_t offset = 0;
  while (offset < length_) {
    const uint64_t rest = length_ - offset;
    const uint64_t length =
        nodes_.empty() ? rest
                       : std::min(rest, block_bytes() - ((lead_ + offset) &
                                                         (block_bytes() - 1)));
    const MemoryLocation location = At(offset);
    if (!runs.empty() && runs.back().location == location) {
      runs.back().length += length;
    } else {
      runs.push_back(
          {.offset = offset, .length = length, .location = location});
    }
    offset += length;
  }
  return runs;
}

}  // namespace te
