#ifndef TE_TOPOLOGY_MEMORY_PLACEMENT_H_
#define TE_TOPOLOGY_MEMORY_PLACEMENT_H_

#include <stddef.h>
#include <stdint.h>
#include <unistd.h>

#include <functional>
#include <map>
#include <string>
#include <vector>

#include "absl/base/attributes.h"
#include "absl/status/status.h"
#include "absl/types/span.h"
#include "te/base/memory_location.h"
#include "te/topology/page_nodes.h"

namespace te {

// How to find out where memory lies, and on what pages.
struct PlacementOptions {
  // As FindPageNodes; tests have machines of their own.
  std::function<absl::Status(absl::Span<void* const> pages,
                             absl::Span<int> nodes)>
      find_page_nodes = FindPageNodes;
  // Of the smallest pages that the memory may consist of; a power of two.
  uint64_t page_bytes = static_cast<uint64_t>(getpagesize());
  // Pages to ask for, at least 2. In larger buffers some stand for all. One
  // costs 30 to 80 ns (memory_placement_benchmark), so that this is 2 to 5 ms
  // at most, and 256 MiB of 4 KiB pages are looked at page by page.
  size_t max_pages = 65536;
  // What FindPageSizes reads; tests have files of their own.
  std::string smaps = "/proc/self/smaps";
};

// On which NUMA nodes the bytes of a buffer were when it was looked at. The
// location of pages that nobody had touched then, and of those of which the
// kernel tells nothing, is unknown: MemoryLocation(), "*". The kernel may move
// pages later, so this is good advice and no more.
//
// A buffer of more pages than may be asked for is sampled: it is cut into
// blocks of a power of two of bytes, at multiples of their size, and a page of
// each stands for all of it. Which one is pseudo-random, lest an allocator's
// interleaving of nodes keep time with us; of the same buffer it is the same
// each time.
//
// The size of the pages is not asked. Huge pages begin at multiples of their
// size too, so a block that is no larger lies in one of them, and its sample is
// exact: with the default bound, up to 128 GiB of pages of 2 MiB. To ask for
// each 4 KiB of one is more than it takes, but within the bound. Rejected:
// /proc/self/smaps, which walks the page tables of the whole process, and
// PROCMAP_QUERY (Linux 6.11): neither knows which pages are transparent huge
// ones.
//
// A value; two bytes for each block if they are not all alike.
class MemoryPlacement {
 public:
  // Bytes side by side in one place.
  struct Run {
    uint64_t offset = 0;
    uint64_t length = 0;
    MemoryLocation location;

    friend bool operator==(const Run&, const Run&) = default;
  };

  // Of no memory.
  MemoryPlacement() = default;

  // Finds where `length` bytes, at least 1, at `address` are. They need not be
  // mapped, and are not touched. Never fails: what the kernel refuses to tell
  // is unknown, and status() says why.
  static MemoryPlacement Find(uint64_t address, uint64_t length,
                              const PlacementOptions& options = {});

  // Where the byte is; "*" beyond the end. O(1), without allocation.
  MemoryLocation At(uint64_t offset) const {
    if (offset >= length_) return MemoryLocation();
    if (nodes_.empty()) return single_;
    return LocationOf(nodes_[(lead_ + offset) >> block_shift_]);
  }
  // Where a slice of at least 1 byte is: where the byte in its middle is. If it
  // lies in two places, that is where most of its bytes are.
  MemoryLocation Of(uint64_t offset, uint64_t length) const {
    return At(offset + (length - 1) / 2);
  }

  // The node of all pages whose node is known, if it is one; else "*".
  MemoryLocation single() const { return single_; }
  // Whether all bytes are in the same place, known or not: single().
  bool uniform() const { return nodes_.empty(); }
  // Without bytes whose node is unknown. O(blocks), as Runs.
  std::map<uint16_t, uint64_t> BytesPerNode() const;
  // In order, from 0 to the end; neighbours differ.
  std::vector<Run> Runs() const;

  // Whether pages stand for others.
  bool sampled() const { return sampled_; }
  // The size of a block: that of a page, or more if sampled().
  uint64_t block_bytes() const { return uint64_t{1} << block_shift_; }
  // What the kernel said if it did not tell all.
  const absl::Status& status() const ABSL_ATTRIBUTE_LIFETIME_BOUND {
    return status_;
  }

 private:
  // A NUMA node's number, or kUnknown.
  using Node = int16_t;
  static constexpr Node kUnknown = -1;

  static MemoryLocation LocationOf(Node node) {
    return node == kUnknown ? MemoryLocation()
                            : MemoryLocation::Cpu(static_cast<uint16_t>(node));
  }
  void Ask(uint64_t address, const PlacementOptions& options);
  void Summarize();

  // Of each block. Empty if all are alike: then it is single_.
  std::vector<Node> nodes_;
  // From the beginning of the first block to that of the buffer.
  uint64_t lead_ = 0;
  uint64_t length_ = 0;
  int block_shift_ = 0;
  bool sampled_ = false;
  MemoryLocation single_;
  absl::Status status_;
};

}  // namespace te

#endif  // TE_TOPOLOGY_MEMORY_PLACEMENT_H_
