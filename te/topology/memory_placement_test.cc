#include "te/topology/memory_placement.h"

#include <errno.h>
#include <linux/mempolicy.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <functional>
#include <map>
#include <random>
#include <set>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/memory_location.h"
#include "te/base/status_matchers.h"
#include "te/topology/anonymous_mapping.h"

namespace te {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;
using PlacedRun = MemoryPlacement::Run;

constexpr uint64_t kPage = 4096;
constexpr uint64_t kMiB = 1 << 20;
constexpr uint64_t kGiB = 1 << 30;
// At the beginning of a page of any size.
constexpr uint64_t kBase = uint64_t{1} << 44;

const MemoryLocation kAny;
const MemoryLocation kNode0 = MemoryLocation::Cpu(0);
const MemoryLocation kNode1 = MemoryLocation::Cpu(1);

// A machine whose kernel says what the test does of each address, and keeps
// count.
class Machine {
 public:
  explicit Machine(std::function<int(uint64_t address)> node_of)
      : node_of_(std::move(node_of)) {
    options_.page_bytes = kPage;
    options_.find_page_nodes = [this](absl::Span<void* const> pages,
                                      absl::Span<int> nodes) {
      ++calls_;
      if (pages_.size() >= refuse_after_pages_) {
        return absl::PermissionDeniedError("scripted");
      }
      for (size_t i = 0; i < pages.size(); ++i) {
        pages_.push_back(reinterpret_cast<uint64_t>(pages[i]));
        nodes[i] = node_of_(pages_.back());
      }
      return absl::OkStatus();
    };
  }
  Machine(const Machine&) = delete;
  Machine& operator=(const Machine&) = delete;

  MemoryPlacement Find(uint64_t address, uint64_t length) {
    return MemoryPlacement::Find(address, length, options_);
  }
  void RefuseAfter(size_t pages) { refuse_after_pages_ = pages; }
  void set_max_pages(size_t pages) { options_.max_pages = pages; }
  size_t calls() const { return calls_; }
  // The pages asked for, in order.
  const std::vector<uint64_t>& pages() const { return pages_; }

 private:
  const std::function<int(uint64_t)> node_of_;
  PlacementOptions options_;
  size_t refuse_after_pages_ = SIZE_MAX;
  size_t calls_ = 0;
  std::vector<uint64_t> pages_;
};

// Blocks of `bytes` on `nodes` nodes in turn.
std::function<int(uint64_t)> Interleaved(uint64_t bytes, int nodes) {
  return [=](uint64_t address) {
    return static_cast<int>(address / bytes % static_cast<uint64_t>(nodes));
  };
}

TEST(MemoryPlacementTest, NothingIsNowhere) {
  const MemoryPlacement placement;
  EXPECT_EQ(placement.At(0), kAny);
  EXPECT_EQ(placement.single(), kAny);
  EXPECT_THAT(placement.Runs(), IsEmpty());
}

TEST(MemoryPlacementTest, OneNode) {
  Machine machine([](uint64_t) { return 1; });
  const MemoryPlacement placement = machine.Find(kBase, 10 * kPage);
  EXPECT_EQ(placement.single(), kNode1);
  EXPECT_TRUE(placement.uniform());
  EXPECT_THAT(placement.Runs(), ElementsAre(PlacedRun{0, 10 * kPage, kNode1}));
  EXPECT_EQ(placement.At(0), kNode1);
  EXPECT_EQ(placement.At(10 * kPage - 1), kNode1);
  EXPECT_EQ(placement.At(10 * kPage), kAny);
  EXPECT_EQ(placement.Of(0, 10 * kPage), kNode1);
  EXPECT_FALSE(placement.sampled());
  EXPECT_EQ(placement.block_bytes(), kPage);
  EXPECT_EQ(machine.pages().size(), 10u);
}

TEST(MemoryPlacementTest, TwoHalves) {
  Machine machine(
      [](uint64_t address) { return address < kBase + kMiB ? 0 : 1; });
  const MemoryPlacement placement = machine.Find(kBase, 2 * kMiB);
  EXPECT_THAT(placement.Runs(), ElementsAre(PlacedRun{0, kMiB, kNode0},
                                            PlacedRun{kMiB, kMiB, kNode1}));
  EXPECT_EQ(placement.single(), kAny);
  EXPECT_THAT(placement.BytesPerNode(),
              ElementsAre(Pair(0, kMiB), Pair(1, kMiB)));
  EXPECT_EQ(placement.At(kMiB - 1), kNode0);
  EXPECT_EQ(placement.At(kMiB), kNode1);
  // Most of the bytes decide, and of two equal parts the first.
  EXPECT_EQ(placement.Of(kMiB - 1001, 2001), kNode0);
  EXPECT_EQ(placement.Of(kMiB - 1000, 2000), kNode0);
  EXPECT_EQ(placement.Of(kMiB - 1000, 2001), kNode1);
  EXPECT_EQ(placement.Of(kMiB - 1, 1), kNode0);
  EXPECT_EQ(placement.Of(kMiB, 1), kNode1);
}

TEST(MemoryPlacementTest, PageByPage) {
  Machine machine(Interleaved(kPage, 2));
  const MemoryPlacement placement = machine.Find(kBase, 256 * kMiB);
  EXPECT_FALSE(placement.sampled());
  EXPECT_EQ(machine.pages().size(), 65536u);
  for (uint64_t page = 0; page < 65536; ++page) {
    ASSERT_EQ(machine.pages()[page], kBase + page * kPage);
    ASSERT_EQ(placement.At(page * kPage + page % kPage),
              MemoryLocation::Cpu(page % 2));
  }
  EXPECT_EQ(placement.Runs().size(), 65536u);
  EXPECT_THAT(placement.BytesPerNode(),
              ElementsAre(Pair(0, 128 * kMiB), Pair(1, 128 * kMiB)));
}

TEST(MemoryPlacementTest, BeginsAndEndsWithinPages) {
  Machine machine(Interleaved(kPage, 2));
  const MemoryPlacement placement = machine.Find(kBase + 100, 2 * kPage);
  EXPECT_THAT(placement.Runs(),
              ElementsAre(PlacedRun{0, kPage - 100, kNode0},
                          PlacedRun{kPage - 100, kPage, kNode1},
                          PlacedRun{2 * kPage - 100, 100, kNode0}));
  EXPECT_THAT(placement.BytesPerNode(),
              ElementsAre(Pair(0, kPage), Pair(1, kPage)));
  EXPECT_EQ(placement.At(kPage - 101), kNode0);
  EXPECT_EQ(placement.At(kPage - 100), kNode1);

  Machine within([](uint64_t) { return 1; });
  EXPECT_THAT(within.Find(kBase + kPage - 1, 1).Runs(),
              ElementsAre(PlacedRun{0, 1, kNode1}));
  EXPECT_THAT(within.pages(), ElementsAre(kBase));
}

TEST(MemoryPlacementTest, WhatTheKernelDoesNotTellIsUnknown) {
  Machine machine([](uint64_t address) {
    const uint64_t page = (address - kBase) / kPage;
    return page < 2 ? 1 : page == 2 ? -ENOENT : page == 3 ? -EFAULT : 1;
  });
  const MemoryPlacement placement = machine.Find(kBase, 5 * kPage);
  TE_EXPECT_OK(placement.status());
  EXPECT_THAT(placement.Runs(),
              ElementsAre(PlacedRun{0, 2 * kPage, kNode1},
                          PlacedRun{2 * kPage, 2 * kPage, kAny},
                          PlacedRun{4 * kPage, kPage, kNode1}));
  EXPECT_EQ(placement.single(), kNode1);
  EXPECT_FALSE(placement.uniform());
  EXPECT_THAT(placement.BytesPerNode(), ElementsAre(Pair(1, 3 * kPage)));
}

TEST(MemoryPlacementTest, UntouchedMemoryIsUnknown) {
  Machine machine([](uint64_t) { return -ENOENT; });
  const MemoryPlacement placement = machine.Find(kBase + 5, kMiB);
  TE_EXPECT_OK(placement.status());
  EXPECT_EQ(placement.single(), kAny);
  EXPECT_TRUE(placement.uniform());
  EXPECT_THAT(placement.Runs(), ElementsAre(PlacedRun{0, kMiB, kAny}));
  EXPECT_THAT(placement.BytesPerNode(), IsEmpty());
}

TEST(MemoryPlacementTest, SamplesWhatIsLarge) {
  Machine machine([](uint64_t) { return 0; });
  const uint64_t begin = kBase + 12345;
  const uint64_t length = 300 * kGiB;
  const MemoryPlacement placement = machine.Find(begin, length);
  EXPECT_TRUE(placement.sampled());
  EXPECT_EQ(placement.block_bytes(), 8 * kMiB);
  EXPECT_EQ(placement.single(), kNode0);
  EXPECT_LE(machine.pages().size(), 65536u);
  // One of each block, and none from without.
  std::set<uint64_t> blocks;
  std::set<uint64_t> places;
  for (const uint64_t page : machine.pages()) {
    EXPECT_EQ(page % kPage, 0u);
    EXPECT_GE(page + kPage, begin + 1);
    EXPECT_LT(page, begin + length);
    EXPECT_TRUE(blocks.insert(page / (8 * kMiB)).second);
    places.insert(page % (8 * kMiB));
  }
  EXPECT_EQ(blocks.size(), 300u * 128 + 1);
  // The pages are not at the same place of each block.
  EXPECT_GT(places.size(), 2000u);
}

TEST(MemoryPlacementTest, SamplesNoPageFromWithout) {
  Machine machine([](uint64_t) { return 0; });
  machine.set_max_pages(3);
  for (uint64_t i = 0; i < 200; ++i) {
    const uint64_t begin = kBase + i * kPage + 100;
    const uint64_t length = (20 + i) * kPage;
    const size_t before = machine.pages().size();
    EXPECT_TRUE(machine.Find(begin, length).sampled());
    ASSERT_LE(machine.pages().size(), before + 3);
    for (size_t j = before; j < machine.pages().size(); ++j) {
      EXPECT_GE(machine.pages()[j] + 100, begin);
      EXPECT_LT(machine.pages()[j], begin + length);
    }
  }
}

TEST(MemoryPlacementTest, SamplingKeepsNoTimeWithInterleaving) {
  for (const int nodes : {2, 3, 4, 8}) {
    for (const uint64_t grain : {kPage, 2 * kPage, 16 * kPage}) {
      Machine machine(Interleaved(grain, nodes));
      const MemoryPlacement placement = machine.Find(kBase, 64 * kGiB);
      EXPECT_TRUE(placement.sampled());
      EXPECT_EQ(placement.single(), kAny);
      const std::map<uint16_t, uint64_t> bytes = placement.BytesPerNode();
      EXPECT_EQ(bytes.size(), static_cast<size_t>(nodes));
      for (const auto& [node, count] : bytes) {
        const double share = static_cast<double>(count) / (64 * kGiB);
        EXPECT_NEAR(share * nodes, 1, 0.05) << "node " << node;
      }
    }
  }
}

TEST(MemoryPlacementTest, SamplesOfHugePagesAreExact) {
  Machine machine(Interleaved(2 * kMiB, 2));
  const uint64_t lead = 2 * kMiB - 3 * kPage - 17;
  const MemoryPlacement placement = machine.Find(kBase + lead, 100 * kGiB);
  EXPECT_TRUE(placement.sampled());
  EXPECT_EQ(placement.block_bytes(), 2 * kMiB);
  EXPECT_LE(machine.pages().size(), 65536u);
  const std::vector<PlacedRun> runs = placement.Runs();
  ASSERT_EQ(runs.size(), 100u * 512 + 1);
  for (const PlacedRun& run : runs) {
    ASSERT_EQ(run.location,
              MemoryLocation::Cpu((lead + run.offset) / (2 * kMiB) % 2));
  }
  EXPECT_EQ(runs[0].length, 3 * kPage + 17);
  EXPECT_EQ(runs[1].length, 2 * kMiB);
}

TEST(MemoryPlacementTest, TheSameBufferIsSampledAlike) {
  Machine first(Interleaved(kPage, 4));
  Machine second(Interleaved(kPage, 4));
  EXPECT_EQ(first.Find(kBase, 4 * kGiB).Runs(),
            second.Find(kBase, 4 * kGiB).Runs());
  EXPECT_EQ(first.pages(), second.pages());
}

TEST(MemoryPlacementTest, ARefusalLeavesAllUnknown) {
  Machine machine([](uint64_t) { return 0; });
  machine.RefuseAfter(0);
  const MemoryPlacement placement = machine.Find(kBase, 64 * kMiB);
  EXPECT_THAT(placement.status(),
              StatusIs(absl::StatusCode::kPermissionDenied));
  EXPECT_THAT(placement.Runs(), ElementsAre(PlacedRun{0, 64 * kMiB, kAny}));
  EXPECT_EQ(placement.single(), kAny);
  EXPECT_EQ(machine.calls(), 1u);
}

TEST(MemoryPlacementTest, ALateRefusalLeavesTheRestUnknown) {
  Machine machine([](uint64_t) { return 1; });
  machine.RefuseAfter(1);
  const MemoryPlacement placement = machine.Find(kBase, 64 * kMiB);
  EXPECT_FALSE(placement.status().ok());
  EXPECT_EQ(machine.calls(), 2u);
  const uint64_t known = machine.pages().size() * kPage;
  EXPECT_THAT(placement.Runs(),
              ElementsAre(PlacedRun{0, known, kNode1},
                          PlacedRun{known, 64 * kMiB - known, kAny}));
  EXPECT_EQ(placement.single(), kNode1);
}

TEST(MemoryPlacementTest, TheWholeAddressSpace) {
  constexpr uint64_t kMiddle = uint64_t{1} << 63;
  Machine machine([](uint64_t address) { return address < kMiddle ? 0 : 1; });
  machine.set_max_pages(2);
  EXPECT_THAT(machine.Find(0, UINT64_MAX).Runs(),
              ElementsAre(PlacedRun{0, kMiddle, kNode0},
                          PlacedRun{kMiddle, kMiddle - 1, kNode1}));
  EXPECT_THAT(machine.Find(kMiddle - kPage, 2 * kPage).Runs(),
              ElementsAre(PlacedRun{0, kPage, kNode0},
                          PlacedRun{kPage, kPage, kNode1}));
  const MemoryPlacement top =
      machine.Find(UINT64_MAX - 3 * kPage, 3 * kPage + 1);
  EXPECT_THAT(top.Runs(), ElementsAre(PlacedRun{0, 3 * kPage + 1, kNode1}));
  EXPECT_EQ(top.Of(0, UINT64_MAX), kAny);
}

// Whatever the pages, each byte is where the kernel says, and the runs tile the
// buffer.
TEST(MemoryPlacementTest, RandomPlaces) {
  const auto seed = std::random_device()();
  SCOPED_TRACE(seed);
  std::mt19937_64 random(seed);
  for (int round = 0; round < 300; ++round) {
    const uint64_t address = kBase + random() % kMiB;
    const uint64_t length = 1 + random() % (100 * kPage);
    const uint64_t salt = random() | 1;
    const uint64_t kinds = 1 + random() % 4;
    const auto node_of = [=](uint64_t byte) {
      return static_cast<int>((byte / kPage * salt >> 32) % kinds) - 1;
    };
    Machine machine(node_of);
    const MemoryPlacement placement = machine.Find(address, length);
    for (int i = 0; i < 20; ++i) {
      const uint64_t offset = random() % length;
      const int node = node_of(address + offset);
      EXPECT_EQ(placement.At(offset),
                node < 0 ? kAny : MemoryLocation::Cpu(node));
    }
    uint64_t end = 0;
    MemoryLocation last = MemoryLocation::Cuda(0);
    for (const PlacedRun& run : placement.Runs()) {
      EXPECT_EQ(run.offset, end);
      EXPECT_NE(run.location, last);
      EXPECT_EQ(placement.At(run.offset), run.location);
      EXPECT_EQ(placement.At(run.offset + run.length - 1), run.location);
      end += run.length;
      last = run.location;
    }
    EXPECT_EQ(end, length);
  }
}

// This machine's own kernel.
class RealPlacementTest : public testing::Test {
 protected:
  static constexpr size_t kPages = 64;

  // Where a byte that has been touched is.
  static MemoryLocation NodeOf(char* byte) {
    int node = -1;
    if (syscall(SYS_get_mempolicy, &node, nullptr, 0, byte,
                MPOL_F_NODE | MPOL_F_ADDR) != 0) {
      return kAny;
    }
    return MemoryLocation::Cpu(static_cast<uint16_t>(node));
  }

  const size_t page_ = getpagesize();
  const AnonymousMapping mapping_{kPages * page_};
};

// The one reason for the kernel to tell nothing.
void ExpectForbidden(const MemoryPlacement& placement) {
  EXPECT_THAT(placement.status(),
              StatusIs(testing::AnyOf(absl::StatusCode::kPermissionDenied,
                                      absl::StatusCode::kUnimplemented)));
  EXPECT_EQ(placement.single(), kAny);
  EXPECT_THAT(placement.BytesPerNode(), IsEmpty());
}

TEST_F(RealPlacementTest, TouchedPagesAreKnownAndOthersStayUntouched) {
  const size_t half = kPages / 2 * page_;
  memset(mapping_.data(), 1, half);
  const MemoryPlacement placement =
      MemoryPlacement::Find(mapping_.address() + 10, kPages * page_ - 10);
  EXPECT_EQ(mapping_.resident_pages(), kPages / 2);
  if (!placement.status().ok()) {
    ExpectForbidden(placement);
    GTEST_SKIP() << placement.status();
  }
  uint64_t known = 0;
  for (const auto& [node, bytes] : placement.BytesPerNode()) known += bytes;
  EXPECT_EQ(known, half - 10);
  for (size_t i = 0; i < kPages; ++i) {
    const MemoryLocation location = placement.At(i * page_);
    if (i >= kPages / 2) {
      EXPECT_EQ(location, kAny);
    } else if (NodeOf(mapping_.data()) != kAny) {
      EXPECT_EQ(location, NodeOf(mapping_.data() + i * page_));
    }
  }
}

TEST_F(RealPlacementTest, UntouchedMemoryOfAnySizeIsUnknown) {
  const AnonymousMapping large(512 * kGiB);
  const MemoryPlacement placement =
      MemoryPlacement::Find(large.address(), 512 * kGiB);
  EXPECT_TRUE(placement.sampled());
  EXPECT_THAT(placement.Runs(), ElementsAre(PlacedRun{0, 512 * kGiB, kAny}));
}

TEST_F(RealPlacementTest, HugePagesAreKnown) {
  const AnonymousMapping mapping(8 * kMiB);
  // Where there are none, small pages do.
  madvise(mapping.data(), 8 * kMiB, MADV_HUGEPAGE);
  memset(mapping.data(), 1, 8 * kMiB);
  const MemoryPlacement placement =
      MemoryPlacement::Find(mapping.address(), 8 * kMiB);
  if (!placement.status().ok()) {
    ExpectForbidden(placement);
    GTEST_SKIP() << placement.status();
  }
  uint64_t known = 0;
  for (const auto& [node, bytes] : placement.BytesPerNode()) known += bytes;
  EXPECT_EQ(known, 8 * kMiB);
}

}  // namespace
}  // namespace te
