// What users meet when the metadata store misbehaves: nothing that is under way
// notices, and what was published comes back.
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
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/status_matchers.h"
#include "te/metadata/redis_connection.h"
#include "te/metadata/redis_server_process.h"
#include "te/testing/target_process.h"
#include "te/transfer_engine.h"

namespace te {
namespace {

using std::chrono::seconds;
using testing::AllOf;
using testing::HasSubstr;

constexpr Duration kEnough = seconds(60);
constexpr Duration kLease = seconds(1);
constexpr size_t kBytes = 1 << 20;
constexpr char kName[] = "decode-0";

MonotonicTime Soon() { return DeadlineAfter(RealClock().Now(), kEnough); }

class MetadataFaultTest : public testing::Test {
 protected:
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
    options.metadata_server = redis_.tcp().ToString();
    options.segment_name = segment_name;
    options.metadata_lease = kLease;
    return options;
  }
  std::unique_ptr<TransferEngine> StartEngine(const std::string& name) const {
    auto engine = CreateTransferEngine(OptionsFor(name));
    TE_EXPECT_OK(engine);
    return engine.ok() ? *std::move(engine) : nullptr;
  }
  std::unique_ptr<TargetProcess> StartTarget() const {
    auto target =
        TargetProcess::Start({"127.0.0.1", absl::StrCat(kBytes), "read_write",
                              redis_.tcp().ToString(), kName});
    TE_EXPECT_OK(target);
    return target.ok() ? *std::move(target) : nullptr;
  }

  absl::Status Write() {
    const Request request = {.operation = Operation::kWrite,
                             .local = local_.data(),
                             .segment = segment_,
                             .remote_address = target_->address(),
                             .length = kBytes};
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
  // What an engine that comes new finds.
  absl::Status OpenAnew() const {
    const auto engine = CreateTransferEngine(OptionsFor(""));
    if (!engine.ok()) return engine.status();
    return (*engine)->OpenSegment(kName, seconds(5)).status();
  }

  RedisServerProcess redis_;
  std::vector<std::byte> local_ = std::vector<std::byte>(kBytes);
  std::unique_ptr<TargetProcess> target_;
  std::unique_ptr<TransferEngine> initiator_;
  SegmentId segment_;
};

TEST_F(MetadataFaultTest, AStoreThatDiesAndComesBackEmpty) {
  redis_.Kill();
  WriteFor(2 * kLease);
  redis_.Restart();
  WriteUntil([&] { return OpenAnew().ok(); });
}

TEST_F(MetadataFaultTest, AStoreThatIsEmptied) {
  TE_ASSERT_OK_AND_ASSIGN(const auto connection,
                          RedisConnection::Open(redis_.unix_socket(), Soon()));
  TE_ASSERT_OK(connection->Call({"FLUSHALL"}, Soon()));
  WriteUntil([&] { return OpenAnew().ok(); });
}

TEST_F(MetadataFaultTest, AStoreThatHangsForLongerThanALease) {
  redis_.Stop();
  WriteFor(2 * kLease);
  redis_.Continue();
  WriteUntil([&] { return OpenAnew().ok(); });
}

TEST_F(MetadataFaultTest, TheEntryOfAKilledEngineGoes) {
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

TEST_F(MetadataFaultTest, AnEngineThatLivesKeepsItsName) {
  EXPECT_THAT(CreateTransferEngine(OptionsFor(kName)),
              StatusIs(absl::StatusCode::kAlreadyExists,
                       AllOf(HasSubstr(kName), HasSubstr("process"),
                             HasSubstr("127.0.0.1:"))));
  WriteFor(3 * kLease);
  EXPECT_THAT(CreateTransferEngine(OptionsFor(kName)),
              StatusIs(absl::StatusCode::kAlreadyExists));
}

// On the same host nobody waits for the lease of the dead.
TEST_F(MetadataFaultTest, ARestartedEngineTakesItsNameAtOnce) {
  target_->Kill();
  target_ = StartTarget();
  ASSERT_NE(target_, nullptr);
  EXPECT_FALSE(Write().ok()) << "written to another incarnation";
  TE_ASSERT_OK_AND_ASSIGN(segment_, initiator_->OpenSegment(kName, kEnough));
  TE_EXPECT_OK(Write());
}

TEST_F(MetadataFaultTest, AStoreThatIsNotThereFailsTheStart) {
  redis_.Kill();
  Options options = OptionsFor("");
  options.engine.connect_timeout = std::chrono::milliseconds(100);
  EXPECT_THAT(CreateTransferEngine(options),
              StatusIs(absl::StatusCode::kUnavailable,
                       HasSubstr(redis_.tcp().ToString())));
}

}  // namespace
}  // namespace te
