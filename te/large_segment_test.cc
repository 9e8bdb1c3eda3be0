// A segment of very many buffers, which no message holds at once.
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/status_matchers.h"
#include "te/testing/store_process.h"
#include "te/transfer_engine.h"

namespace te {
namespace {

constexpr Duration kEnough = std::chrono::seconds(60);
// More than 4 MiB of descriptors: gRPC's default limit, and what te reads at
// once.
constexpr size_t kBuffers = 250'000;
constexpr size_t kLength = 8;

MonotonicTime Soon() { return DeadlineAfter(RealClock().Now(), kEnough); }

// Null: the engines ask each other.
class LargeSegmentTest
    : public testing::TestWithParam<std::unique_ptr<StoreProcess> (*)()> {
 protected:
  LargeSegmentTest() {
    if (GetParam() != nullptr) store_ = GetParam()();
  }

  void SetUp() override {
    target_ = Start("large");
    initiator_ = Start("initiator");
    std::vector<MemoryRegion> regions;
    for (size_t i = 0; i < kBuffers; ++i) regions.push_back(Region(i));
    TE_ASSERT_OK(target_->RegisterMemory(regions));
    TE_ASSERT_OK(
        initiator_->RegisterMemory(MemoryRegion{.address = local_.data(),
                                                .length = local_.size(),
                                                .access = Access::kLocalOnly}));
    TE_ASSERT_OK_AND_ASSIGN(
        segment_, initiator_->OpenSegment(target_->segment_name(), kEnough));
  }

  std::unique_ptr<TransferEngine> Start(const std::string& name) const {
    Options options;
    options.local_server_name = "127.0.0.1";
    options.engine.max_buffers = kBuffers + 2;
    options.engine.connect_timeout = kEnough;
    if (store_ != nullptr) {
      options.metadata_server =
          absl::StrCat(store_->scheme(), "://", store_->address().ToString());
      options.segment_name = name;
      options.metadata_lease = std::chrono::seconds(1);
    }
    auto engine = CreateTransferEngine(options);
    TE_EXPECT_OK(engine);
    return engine.ok() ? *std::move(engine) : nullptr;
  }
  MemoryRegion Region(size_t index) {
    return {.address = &memory_[index * kLength], .length = kLength};
  }
  absl::Status WriteTo(size_t index) {
    const Request request = {
        .operation = Operation::kWrite,
        .local = local_.data(),
        .segment = segment_,
        .remote_address = reinterpret_cast<uint64_t>(&memory_[index * kLength]),
        .length = kLength};
    auto batch = initiator_->Submit({&request, 1});
    if (!batch.ok()) return batch.status();
    EXPECT_TRUE(batch->Wait(Soon()));
    return batch->status();
  }

  std::unique_ptr<StoreProcess> store_;
  std::vector<std::byte> memory_ =
      std::vector<std::byte>((kBuffers + 1) * kLength);
  std::vector<std::byte> local_ = std::vector<std::byte>(kLength);
  std::unique_ptr<TransferEngine> target_;
  std::unique_ptr<TransferEngine> initiator_;
  SegmentId segment_;
};

TEST_P(LargeSegmentTest, IsPublishedFoundAndFollowed) {
  TE_ASSERT_OK_AND_ASSIGN(const auto seen,
                          initiator_->DescribeSegment(segment_));
  EXPECT_EQ(seen->buffers.size(), kBuffers);
  TE_EXPECT_OK(WriteTo(0));
  TE_EXPECT_OK(WriteTo(kBuffers - 1));

  TE_ASSERT_OK(target_->RegisterMemory(Region(kBuffers)));
  if (store_ == nullptr) {
    TE_ASSERT_OK(initiator_->RefreshSegment(segment_, kEnough));
  }
  const MonotonicTime deadline = Soon();
  absl::Status status;
  while (!(status = WriteTo(kBuffers)).ok() && RealClock().Now() < deadline) {
    std::this_thread::yield();
  }
  TE_EXPECT_OK(status);
}

class LargeStoredSegmentTest : public LargeSegmentTest {};

// What takes several calls to publish again is not seen by halves.
TEST_P(LargeStoredSegmentTest, AStoreThatIsEmptiedFailsNoTransfer) {
  store_->Empty();
  const MonotonicTime deadline = Soon();
  bool published = false;
  while (!published && RealClock().Now() < deadline) {
    TE_ASSERT_OK(WriteTo(kBuffers - 1));
    published = Start("")->OpenSegment("large", kEnough).ok();
  }
  EXPECT_TRUE(published);
  TE_EXPECT_OK(WriteTo(kBuffers - 1));
}

INSTANTIATE_TEST_SUITE_P(P2p, LargeSegmentTest, testing::Values(nullptr));
INSTANTIATE_TEST_SUITE_P(Redis, LargeSegmentTest, testing::Values(StartRedis));
INSTANTIATE_TEST_SUITE_P(MetadataServer, LargeSegmentTest,
                         testing::Values(StartMetadataServer));
INSTANTIATE_TEST_SUITE_P(Redis, LargeStoredSegmentTest,
                         testing::Values(StartRedis));
INSTANTIATE_TEST_SUITE_P(MetadataServer, LargeStoredSegmentTest,
                         testing::Values(StartMetadataServer));

}  // namespace
}  // namespace te
