#include "te/transport/shm/copy_bytes.h"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "gtest/gtest.h"
#include "te/base/status_matchers.h"
#include "te/base/thread.h"

namespace te::shm {
namespace {

constexpr size_t kLine = 64;
// More than all that is copied side by side, with what comes before and after.
constexpr size_t kSome = 3 * 16384 + 300;
// No byte of a source.
constexpr std::byte kCanary{0xee};

std::vector<std::byte> Source(size_t bytes) {
  std::vector<std::byte> source(bytes);
  for (size_t i = 0; i < bytes; ++i) {
    // Not a period of any power of 2.
    source[i] = static_cast<std::byte>(i * 7 % 233);
  }
  return source;
}

class CopyBytesTest : public testing::TestWithParam<CopyWay> {
 protected:
  // Copies between these places, and looks at all of the target.
  void Check(size_t to, size_t from, size_t bytes) {
    std::fill_n(target_.begin(), to + bytes + kLine, kCanary);
    CopyBy(GetParam(), target_.data() + to, source_.data() + from, bytes);
    const auto is_canary = [](std::byte byte) { return byte == kCanary; };
    const auto begin = target_.begin() + static_cast<ptrdiff_t>(to);
    const auto end = begin + static_cast<ptrdiff_t>(bytes);
    ASSERT_TRUE(std::all_of(target_.begin(), begin, is_canary))
        << bytes << " bytes from " << from << " to " << to;
    ASSERT_TRUE(std::all_of(end, end + kLine, is_canary))
        << bytes << " bytes from " << from << " to " << to;
    ASSERT_EQ(memcmp(&*begin, source_.data() + from, bytes), 0)
        << bytes << " bytes from " << from << " to " << to;
  }

  const std::vector<std::byte> source_ = Source((5 << 20) + 2 * kLine);
  std::vector<std::byte> target_ =
      std::vector<std::byte>(source_.size() + kLine);
};

INSTANTIATE_TEST_SUITE_P(AllWays, CopyBytesTest,
                         testing::ValuesIn(AvailableWays().begin(),
                                           AvailableWays().end()),
                         [](const auto& info) {
                           return std::string(NameOf(info.param));
                         });

TEST_P(CopyBytesTest, AllSmallLengthsAtAllAlignmentsOfTheTarget) {
  size_t from = 0;
  for (size_t bytes = 0; bytes <= 300; ++bytes) {
    for (size_t to = 0; to < kLine; ++to) {
      from = (from + 29) % kLine;
      ASSERT_NO_FATAL_FAILURE(Check(to, from, bytes));
    }
  }
}

TEST_P(CopyBytesTest, AllPairsOfAlignments) {
  std::mt19937 random(GTEST_FLAG_GET(random_seed));
  std::uniform_int_distribution<size_t> length(0, kSome);
  for (size_t to = 0; to < kLine; ++to) {
    for (size_t from = 0; from < kLine; ++from) {
      ASSERT_NO_FATAL_FAILURE(Check(to, from, (to + from) * 131 % 4999));
    }
    ASSERT_NO_FATAL_FAILURE(Check(to, to * 5 % kLine, length(random)));
  }
}

TEST_P(CopyBytesTest, LargeLengths) {
  for (const size_t bytes :
       {4095, 4096, 4097, 16383, 16384, 16385, 16447, 65537, (1 << 20) - 1,
        1 << 20, (2 << 20) - 1, 2 << 20, (5 << 20) - 77}) {
    ASSERT_NO_FATAL_FAILURE(Check(0, 0, bytes));
    ASSERT_NO_FATAL_FAILURE(Check(1, 0, bytes));
    ASSERT_NO_FATAL_FAILURE(Check(63, 17, bytes));
  }
}

// Memory that ends where no other begins.
class Fenced {
 public:
  explicit Fenced(size_t bytes) : bytes_(bytes), size_(bytes + 2 * kPage) {
    void* const at =
        mmap(nullptr, size_, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    EXPECT_NE(at, MAP_FAILED);
    whole_ = static_cast<std::byte*>(at);
    EXPECT_EQ(mprotect(begin(), bytes, PROT_READ | PROT_WRITE), 0);
  }
  ~Fenced() { munmap(whole_, size_); }
  Fenced(const Fenced&) = delete;
  Fenced& operator=(const Fenced&) = delete;

  std::byte* begin() const { return whole_ + kPage; }
  std::byte* end() const { return begin() + bytes_; }

 private:
  static constexpr size_t kPage = 4096;
  const size_t bytes_;
  const size_t size_;
  std::byte* whole_ = nullptr;
};

TEST_P(CopyBytesTest, TouchesNothingBesides) {
  constexpr size_t kSize = 16 * 4096;
  const Fenced source(kSize);
  const Fenced target(kSize);
  memcpy(source.begin(), source_.data(), kSize);
  for (size_t bytes = 1; bytes <= kSize; bytes += bytes < 300 ? 1 : 997) {
    CopyBy(GetParam(), target.begin(), source.begin(), bytes);
    ASSERT_EQ(memcmp(target.begin(), source.begin(), bytes), 0) << bytes;
    CopyBy(GetParam(), target.end() - bytes, source.end() - bytes, bytes);
    ASSERT_EQ(memcmp(target.end() - bytes, source.end() - bytes, bytes), 0)
        << bytes;
  }
  CopyBy(GetParam(), target.end(), source.end(), 0);
}

// What follows the copy is not seen before it. Whether a copy that lacks its
// fence is caught depends on the processor: not by all.
TEST_P(CopyBytesTest, WhoSeesWhatComesAfterSeesTheBytes) {
  constexpr int kRounds = 2000;
  constexpr size_t kBytes = 2 * 16384 + 64;
  std::vector<std::byte> target(kBytes);
  std::atomic<int> copied{0};
  std::atomic<int> seen{0};
  int wrong = 0;
  TE_ASSERT_OK_AND_ASSIGN(
      Thread reader, Thread::Start({.name = "reader"}, [&] {
        for (int round = 1; round <= kRounds; ++round) {
          while (copied.load(std::memory_order_acquire) < round) {
            std::this_thread::yield();
          }
          const auto value = static_cast<std::byte>(round);
          // The last ones first, which would be the latest.
          for (size_t at = kBytes; at > 0; at -= kLine) {
            wrong += target[at - 1] == value ? 0 : 1;
          }
          seen = round;
        }
      }));
  std::vector<std::byte> source(kBytes);
  for (int round = 1; round <= kRounds; ++round) {
    std::fill(source.begin(), source.end(), static_cast<std::byte>(round));
    CopyBy(GetParam(), target.data(), source.data(), kBytes);
    copied.store(round, std::memory_order_release);
    while (seen < round) std::this_thread::yield();
  }
  reader.Join();
  EXPECT_EQ(wrong, 0);
}

TEST(BestWayTest, LittleGoesThroughTheCacheAndMuchDoesNot) {
  EXPECT_EQ(BestWay(0), CopyWay::kMemcpy);
  EXPECT_EQ(BestWay(1 << 20), CopyWay::kMemcpy);
  // Where nothing better is there, memcpy is.
  EXPECT_EQ(BestWay(1 << 30) != CopyWay::kMemcpy,
            AvailableWays().back() > CopyWay::kRepMovsb);
}

TEST(BestWayTest, IsThere) {
  for (int bits = 0; bits < 64; ++bits) {
    const auto ways = AvailableWays();
    EXPECT_NE(std::find(ways.begin(), ways.end(), BestWay(1ull << bits)),
              ways.end());
  }
}

TEST(BestWayTest, CopiesWhatItIsAskedFor) {
  for (const size_t bytes : {0, 1, 4096, (2 << 20) - 1, 4 << 20}) {
    const std::vector<std::byte> source = Source(bytes);
    std::vector<std::byte> target(bytes + 1, kCanary);
    CopyBytes(target.data(), source.data(), bytes);
    EXPECT_EQ(target.back(), kCanary);
    target.pop_back();
    EXPECT_EQ(target, source);
  }
}

}  // namespace
}  // namespace te::shm
