// What users meet when the metadata store misbehaves: nothing that is under way
// notices, and what was published comes back.
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/socket_address.h"
#include "te/base/status_matchers.h"
#include "te/testing/proxy.h"
#include "te/testing/store_process.h"
#include "te/testing/target_process.h"
#include "te/transfer_engine.h"

namespace te {
namespace {

using std::chrono::seconds;
using testing::AllOf;
using testing::AnyOf;
using testing::HasSubstr;

constexpr Duration kEnough = seconds(60);
constexpr Duration kLease = seconds(1);
constexpr Duration kShort = std::chrono::milliseconds(100);
constexpr size_t kBytes = 1 << 20;
constexpr char kName[] = "decode-0";

MonotonicTime Soon() { return DeadlineAfter(RealClock().Now(), kEnough); }

// Everybody reaches the store through a proxy.
class MetadataFaultTest
    : public testing::TestWithParam<std::unique_ptr<StoreProcess> (*)()> {
 protected:
  MetadataFaultTest()
      : store_(GetParam()()), network_(*Proxy::Start(store_->address())) {}

  void SetUp() override {
    target_ = StartTarget();
    initiator_ = StartEngine("");
    TE_ASSERT_OK(
        initiator_->RegisterMemory(MemoryRegion{.address = local_.data(),
                                                .length = local_.size(),
                                                .access = Access::kLocalOnly}));
    TE_ASSERT_OK_AND_ASSIGN(segment_, initiator_->OpenSegment(kName, kEnough));
    TE_ASSERT_OK(Write());
  }

  Options OptionsFor(const std::string& segment_name) const {
    Options options;
    options.local_server_name = "127.0.0.1";
    options.metadata_server = StoreUri(network_->address());
    options.segment_name = segment_name;
    options.metadata_lease = kLease;
    return options;
  }
  std::string StoreUri(const SocketAddress& address) const {
    return absl::StrCat(store_->scheme(), "://", address.ToString());
  }
  std::unique_ptr<TransferEngine> StartEngine(const std::string& name) const {
    auto engine = CreateTransferEngine(OptionsFor(name));
    TE_EXPECT_OK(engine);
    return engine.ok() ? *std::move(engine) : nullptr;
  }
  std::unique_ptr<TargetProcess> StartTarget() const {
    auto target =
        TargetProcess::Start({"127.0.0.1", absl::StrCat(kBytes), "read_write",
                              StoreUri(network_->address()), kName});
    TE_EXPECT_OK(target);
    return target.ok() ? *std::move(target) : nullptr;
  }

  absl::Status Write() { return WriteTo(target_->address(), kBytes); }
  absl::Status WriteTo(uint64_t address, uint64_t length) {
    const Request request = {.operation = Operation::kWrite,
                             .local = local_.data(),
                             .segment = segment_,
                             .remote_address = address,
                             .length = length};
    auto batch = initiator_->Submit({&request, 1});
    if (!batch.ok()) return batch.status();
    EXPECT_TRUE(batch->Wait(Soon()));
    return batch->status();
  }
  // Transfers all the while.
  void WriteUntil(const std::function<bool()>& done) {
    const MonotonicTime deadline = Soon();
    while (!done()) {
      TE_ASSERT_OK(Write());
      ASSERT_LT(RealClock().Now(), deadline);
    }
  }
  void WriteFor(Duration duration) {
    const MonotonicTime end = DeadlineAfter(RealClock().Now(), duration);
    WriteUntil([&] { return RealClock().Now() >= end; });
  }
  // The target registers more memory, as soon as the store lets it, and the
  // initiator sees it by itself.
  void ExpectNewMemoryIsSeen() {
    uint64_t address = 0;
    WriteUntil([&] {
      const auto answer = target_->Ask("register 4096");
      TE_EXPECT_OK(answer);
      return absl::SimpleAtoi(answer.value_or("0"), &address);
    });
    WriteUntil([&] { return WriteTo(address, 4096).ok(); });
  }
  // What an engine that comes new finds.
  absl::Status OpenAnew(Duration patience = seconds(3)) const {
    Options options = OptionsFor("");
    options.engine.connect_timeout = patience;
    const auto engine = CreateTransferEngine(options);
    if (!engine.ok()) return engine.status();
    return (*engine)->OpenSegment(kName, seconds(5)).status();
  }

  const std::unique_ptr<StoreProcess> store_;
  const std::unique_ptr<Proxy> network_;
  std::vector<std::byte> local_ = std::vector<std::byte>(kBytes);
  std::unique_ptr<TargetProcess> target_;
  std::unique_ptr<TransferEngine> initiator_;
  SegmentId segment_;
};

TEST_P(MetadataFaultTest, AStoreThatDiesAndComesBackEmpty) {
  store_->Kill();
  WriteFor(2 * kLease);
  EXPECT_FALSE(OpenAnew(kShort).ok());
  store_->Restart();
  WriteUntil([&] { return OpenAnew().ok(); });
  ExpectNewMemoryIsSeen();
}

TEST_P(MetadataFaultTest, AStoreThatIsEmptied) {
  store_->Empty();
  WriteUntil([&] { return OpenAnew().ok(); });
  ExpectNewMemoryIsSeen();
}

TEST_P(MetadataFaultTest, AStoreThatHangsForLongerThanALease) {
  store_->Stop();
  WriteFor(2 * kLease);
  EXPECT_FALSE(OpenAnew(kShort).ok());
  store_->Continue();
  WriteUntil([&] { return OpenAnew().ok(); });
  ExpectNewMemoryIsSeen();
}

// All that the store hears meanwhile is silence.
TEST_P(MetadataFaultTest, ANetworkThatIsCutForLongerThanALease) {
  network_->Cut();
  WriteFor(2 * kLease);
  EXPECT_FALSE(OpenAnew(kShort).ok());
  network_->Heal();
  WriteUntil([&] { return OpenAnew().ok(); });
  ExpectNewMemoryIsSeen();
}

TEST_P(MetadataFaultTest, TheEntryOfAKilledEngineGoes) {
  TE_EXPECT_OK(OpenAnew());
  target_->Kill();
  const MonotonicTime deadline = Soon();
  absl::Status status;
  do {
    status = OpenAnew();
  } while (!absl::IsNotFound(status) && RealClock().Now() < deadline);
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kNotFound,
                               HasSubstr("'decode-0' is not published")));
}

TEST_P(MetadataFaultTest, AnEngineThatLivesKeepsItsName) {
  EXPECT_THAT(CreateTransferEngine(OptionsFor(kName)),
              StatusIs(absl::StatusCode::kAlreadyExists,
                       AllOf(HasSubstr(kName), HasSubstr("process"),
                             HasSubstr("127.0.0.1:"))));
  WriteFor(3 * kLease);
  EXPECT_THAT(CreateTransferEngine(OptionsFor(kName)),
              StatusIs(absl::StatusCode::kAlreadyExists));
}

TEST_P(MetadataFaultTest, AKnownSegmentIsOpenedWithoutTheStore) {
  // The store has told of a change, so the watch of the segment has begun.
  ExpectNewMemoryIsSeen();
  TE_ASSERT_OK(initiator_->CloseSegment(segment_));
  TE_ASSERT_OK_AND_ASSIGN(segment_, initiator_->OpenSegment(kName, kEnough));
  store_->Stop();
  TE_ASSERT_OK(initiator_->CloseSegment(segment_));
  TE_ASSERT_OK_AND_ASSIGN(segment_, initiator_->OpenSegment(kName, kEnough));
  TE_EXPECT_OK(Write());
  store_->Continue();
}

// On the same host nobody waits for the lease of the dead.
TEST_P(MetadataFaultTest, ARestartedEngineTakesItsNameAtOnce) {
  target_->Kill();
  target_ = StartTarget();
  ASSERT_NE(target_, nullptr);
  EXPECT_FALSE(Write().ok()) << "written to another incarnation";
  TE_ASSERT_OK_AND_ASSIGN(segment_, initiator_->OpenSegment(kName, kEnough));
  // The watch may not have told yet of the memory that the new engine has
  // registered since it began, but does by itself.
  const MonotonicTime deadline = Soon();
  absl::Status status = Write();
  while (absl::IsOutOfRange(status) && RealClock().Now() < deadline) {
    status = Write();
  }
  TE_EXPECT_OK(status);
}

TEST_P(MetadataFaultTest, AStoreThatIsNotThereFailsTheStart) {
  store_->Kill();
  Options options = OptionsFor("");
  options.metadata_server = StoreUri(store_->address());
  options.engine.connect_timeout = kShort;
  EXPECT_THAT(CreateTransferEngine(options),
              StatusIs(AnyOf(absl::StatusCode::kUnavailable,
                             absl::StatusCode::kDeadlineExceeded),
                       HasSubstr(StoreUri(store_->address()))));
}

INSTANTIATE_TEST_SUITE_P(Redis, MetadataFaultTest, testing::Values(StartRedis));
INSTANTIATE_TEST_SUITE_P(MetadataServer, MetadataFaultTest,
                         testing::Values(StartMetadataServer));

}  // namespace
}  // namespace te
