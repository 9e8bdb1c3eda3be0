#include "te/core/page_size_hint.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <fstream>
#include <memory>
#include <string>

#include "absl/strings/str_cat.h"
#include "glog/logging.h"
#include "gtest/gtest.h"
#include "te/base/memory_location.h"
#include "te/base/status_matchers.h"
#include "te/core/engine_fixture.h"
#include "te/core/request.h"
#include "te/core/transfer_engine.h"
#include "te/transport/fake_transport.h"

namespace te {
namespace {

constexpr uint64_t kBegin = 0x7f0000000000;
constexpr size_t kLarge = PageSizeHint::kLargeBytes;

class HintCounter final : public google::LogSink {
 public:
  HintCounter() { google::AddLogSink(this); }
  ~HintCounter() override { google::RemoveLogSink(this); }

  void send(google::LogSeverity severity, const char*, const char*, int,
            const google::LogMessageTime&, const char* message,
            size_t length) override {
    const std::string text(message, length);
    if (text.find("MADV_HUGEPAGE") == std::string::npos) return;
    EXPECT_EQ(severity, google::GLOG_INFO);
    ++count_;
  }
  int count() const { return count_; }

 private:
  std::atomic<int> count_ = 0;
};

// Nobody touches it.
MemoryRegion Region(uint64_t address, size_t length) {
  return {.address = reinterpret_cast<void*>(address),
          .length = length,
          .location = MemoryLocation::Cpu(0)};
}

// A smaps file with one mapping, at kBegin.
std::string WriteSmaps(size_t length, int page_kib) {
  const std::string path = testing::TempDir() + "/smaps";
  std::ofstream(path) << absl::StrCat(
      absl::Hex(kBegin), "-", absl::Hex(kBegin + length),
      " rw-p 00000000 00:00 0\nKernelPageSize: ", page_kib, " kB\n");
  return path;
}

TEST(PageSizeHintTest, IsGivenOnceForLargeMemoryOnSmallPages) {
  const HintCounter hints;
  PageSizeHint hint(WriteSmaps(2 * kLarge, 4));
  hint.Consider(Region(kBegin, kLarge - 1));
  EXPECT_EQ(hints.count(), 0);
  hint.Consider(Region(kBegin, kLarge));
  EXPECT_EQ(hints.count(), 1);
  hint.Consider(Region(kBegin + kLarge, kLarge));
  EXPECT_EQ(hints.count(), 1);
}

TEST(PageSizeHintTest, IsNotGivenOtherwise) {
  const HintCounter hints;
  PageSizeHint(WriteSmaps(kLarge, 2048)).Consider(Region(kBegin, kLarge));
  // Most of it is not mapped.
  PageSizeHint(WriteSmaps(kLarge / 2, 4)).Consider(Region(kBegin, kLarge));
  PageSizeHint("/nonexistent").Consider(Region(kBegin, kLarge));
  EXPECT_EQ(hints.count(), 0);
}

TEST(PageSizeHintTest, LooksAtAFewBuffersAlone) {
  const HintCounter hints;
  PageSizeHint hint(WriteSmaps(kLarge, 4));
  for (int i = 0; i < PageSizeHint::kLooks - 1; ++i) {
    hint.Consider(Region(kBegin + kLarge, kLarge));
  }
  PageSizeHint tired(WriteSmaps(kLarge, 4));
  for (int i = 0; i < PageSizeHint::kLooks; ++i) {
    tired.Consider(Region(kBegin + kLarge, kLarge));
  }
  EXPECT_EQ(hints.count(), 0);
  tired.Consider(Region(kBegin, kLarge));
  EXPECT_EQ(hints.count(), 0);
  hint.Consider(Region(kBegin, kLarge));
  EXPECT_EQ(hints.count(), 1);
}

using EngineHintTest = EngineFixture;

TEST_F(EngineHintTest, OnlyEnginesWithSharedMemoryGiveIt) {
  const HintCounter hints;
  placement_.smaps = WriteSmaps(kLarge, 4);
  spare_network_ = std::make_shared<FakeNetwork>();
  for (const bool shared : {false, true}) {
    spare_name_ = shared ? "shm" : "spare";
    Start({});
    TE_ASSERT_OK(client_.engine->RegisterMemory(Region(kBegin, kLarge)));
    EXPECT_EQ(hints.count(), shared ? 1 : 0);
  }
}

}  // namespace
}  // namespace te
