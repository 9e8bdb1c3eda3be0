// Work requests that fail, and those that never complete.

#include <infiniband/verbs.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/status_matchers.h"
#include "te/rdma/completion_status.h"
#include "te/rdma/rail_fixture.h"
#include "te/transport/recording_sink.h"
#include "te/transport/slice.h"

namespace te::rdma {
namespace {

using emulated::EmulatedDeviceSpec;
using emulated::Fault;
using emulated::Hang;
using emulated::WorkRequestInfo;
using std::chrono::milliseconds;
using testing::HasSubstr;

constexpr size_t kSlices = 48;
constexpr uint32_t kLength = 1000;

class CompletionFaultTest : public RailFixture {
 protected:
  void SetUp() override { MakeHosts(); }

  // Fails the work request at that offset of the remote memory, once.
  void FailAt(size_t offset, const Fault& fault) {
    auto left = std::make_shared<std::atomic<bool>>(true);
    const uint64_t address = AddressOf(offset);
    pair_->fabric().SetFaultScript([=](const WorkRequestInfo& info) {
      const bool meant =
          info.host == "a" && info.length > 0 && info.remote_addr == address;
      return meant && left->exchange(false) ? fault : Fault();
    });
  }

  void FailEachWay(Operation operation, ibv_wc_status status, size_t position) {
    Fault fault;
    fault.status = status;
    fault.vendor_err = 0x57;
    FailAt(position * kLength, fault);
    const auto outcomes = TransferMany(operation, kSlices, kLength);
    const absl::Status expected = CompletionStatus(status, 0, "", "");
    EXPECT_EQ(outcomes[position].code(), expected.code()) << outcomes[position];
    if (status != IBV_WC_WR_FLUSH_ERR) {
      EXPECT_THAT(std::string(outcomes[position].message()),
                  HasSubstr("vendor error 0x57"));
    }
    for (size_t i = 0; i < kSlices; ++i) {
      if (i == position) continue;
      EXPECT_TRUE(outcomes[i].ok() || MayBeTriedAgain(outcomes[i]))
          << i << ": " << outcomes[i];
    }
    NoFaults();
    AwaitHealingOfRail();
  }
};

TEST_F(CompletionFaultTest, EachStatusEndsItsSliceAndSparesTheOthers) {
  RdmaOptions options = Quick();
  // A work request for each slice.
  options.max_sge = 1;
  TE_ASSERT_OK(Start(options));
  for (int status = IBV_WC_LOC_LEN_ERR; status <= IBV_WC_GENERAL_ERR;
       ++status) {
    for (const Operation operation : {Operation::kRead, Operation::kWrite}) {
      for (const size_t position : {size_t{0}, kSlices / 2, kSlices - 1}) {
        SCOPED_TRACE(testing::Message()
                     << "status " << status << " at " << position
                     << ", read: " << (operation == Operation::kRead));
        FailEachWay(operation, static_cast<ibv_wc_status>(status), position);
        ASSERT_FALSE(HasFailure());
      }
    }
  }
}

// Slices that share a work request share its end.
TEST_F(CompletionFaultTest, MergedSlicesFailTogether) {
  RdmaOptions options = Quick();
  options.num_qp = 1;
  TE_ASSERT_OK(Start(options));
  Fault fault;
  fault.status = IBV_WC_REM_ACCESS_ERR;
  FailAt(0, fault);
  const auto outcomes = TransferMany(Operation::kWrite, kSlices, kLength);
  EXPECT_THAT(outcomes[0], StatusIs(absl::StatusCode::kNotFound));
  EXPECT_EQ(outcomes[1], outcomes[0]);
  const auto is_refused = [](const absl::Status& s) {
    return absl::IsNotFound(s);
  };
  EXPECT_EQ(std::count_if(outcomes.begin(), outcomes.end(), is_refused),
            options.max_sge);
  for (const absl::Status& status : outcomes) {
    EXPECT_TRUE(status.ok() || is_refused(status) || MayBeTriedAgain(status));
  }
  NoFaults();
  AwaitHealingOfRail();
}

// A slice of several work requests ends once, with the status of the one that
// failed, whichever that is.
TEST_F(CompletionFaultTest, APartOfALongSliceFails) {
  Stop();
  MakeHosts({}, {}, [](EmulatedDeviceSpec& spec) {
    spec.max_msg_sz = kMaxSliceBytes / 16;
  });
  local_.resize(16 << 20);
  remote_.resize(16 << 20);
  TE_ASSERT_OK(Start());
  for (const size_t part : {0, 1, 3}) {
    SCOPED_TRACE(part);
    Fault fault;
    fault.status = IBV_WC_REM_ACCESS_ERR;
    FailAt(part * (kMaxSliceBytes / 16), fault);
    EXPECT_THAT(Transfer(Operation::kWrite, 0, 16 << 20),
                StatusIs(absl::StatusCode::kNotFound));
    NoFaults();
    AwaitHealingOfRail();
  }
}

// A queue pair that the device took into the error state by itself: nothing
// says so but flushed work requests, and an event.
TEST_F(CompletionFaultTest, AQueuePairFailsByItself) {
  TE_ASSERT_OK(Start());
  for (int round = 0; round < 20; ++round) {
    SCOPED_TRACE(round);
    auto qp = std::make_shared<std::atomic<uint32_t>>(0);
    pair_->fabric().SetFaultScript([=](const WorkRequestInfo& info) {
      Fault fault;
      if (info.host != "a" || info.length == 0) return fault;
      *qp = info.qp_num;
      // So that it is still under way then.
      fault.delay = milliseconds(10'000);
      return fault;
    });
    RecordingSink sink(1);
    Slice slice = MakeSlice(Operation::kWrite, 0, kLength, sink);
    Slice* const posted = &slice;
    rail_->Post({&posted, 1});
    ASSERT_TRUE(Await([&] { return *qp != 0; }));
    pair_->a(0).FailQp(*qp);
    ASSERT_TRUE(sink.Wait(In(std::chrono::seconds(5))))
        << "flushed, and not given back";
    EXPECT_THAT(sink.status(), StatusIs(absl::StatusCode::kUnavailable));
    NoFaults();
    AwaitHealingOfRail();
  }
}

// The device says nothing: the timeout of the work request ends it. From then
// on the memory is the caller's, and nothing touches it.
class HangTest : public CompletionFaultTest,
                 public testing::WithParamInterface<Hang> {
 protected:
  static RdmaOptions Impatient() {
    RdmaOptions options = Quick();
    options.work_timeout = milliseconds(100);
    options.flush_timeout = milliseconds(50);
    return options;
  }
};

INSTANTIATE_TEST_SUITE_P(Hangs, HangTest,
                         testing::Values(Hang::kUntilError, Hang::kForGood),
                         [](const auto& info) {
                           return info.param == Hang::kForGood ? "ForGood"
                                                               : "UntilError";
                         });

TEST_P(HangTest, TheTimeoutEndsIt) {
  TE_ASSERT_OK(Start(Impatient()));
  for (const Operation operation : {Operation::kRead, Operation::kWrite}) {
    for (const bool carried_out : {false, true}) {
      Fault fault;
      fault.hang = GetParam();
      fault.carried_out = carried_out;
      FailRequest(0, fault);
      const MonotonicTime begin = RealClock().Now();
      const absl::Status status = Transfer(operation);
      EXPECT_THAT(status, StatusIs(absl::StatusCode::kUnavailable,
                                   HasSubstr("work_timeout")));
      EXPECT_GE(RealClock().Now() - begin, milliseconds(100));
      NoFaults();
      AwaitHealingOfRail();
    }
  }
}

// Only one of a batch hangs; each comes back once, and what is behind it too.
TEST_P(HangTest, OneOfMany) {
  TE_ASSERT_OK(Start(Impatient()));
  for (const uint64_t position : {0, 5, 11}) {
    Fault fault;
    fault.hang = GetParam();
    FailRequest(position, fault);
    size_t failed = 0;
    for (const absl::Status& status :
         TransferMany(Operation::kRead, kSlices, kLength)) {
      failed += status.ok() ? 0 : 1;
      EXPECT_TRUE(status.ok() || absl::IsUnavailable(status)) << status;
    }
    EXPECT_GT(failed, 0);
    NoFaults();
    AwaitHealingOfRail();
  }
}

TEST_P(HangTest, CloseEndsItAtOnce) {
  TE_ASSERT_OK(Start());
  Fault fault;
  fault.hang = GetParam();
  FailRequest(0, fault);
  RecordingSink sink(1);
  Slice slice = MakeSlice(Operation::kRead, 0, kLength, sink);
  Slice* const posted = &slice;
  rail_->Post({&posted, 1});
  CloseRail();
  EXPECT_EQ(sink.done(), 1);
  EXPECT_THAT(sink.status(), StatusIs(absl::StatusCode::kCancelled));
  NoFaults();
  AwaitHealing();
}

// A READ that is slower than the timeout does not write into memory that has
// been given back.
TEST_F(CompletionFaultTest, ASlowReadDoesNotTouchMemoryThatWasGivenBack) {
  RdmaOptions options = Quick();
  options.work_timeout = milliseconds(100);
  TE_ASSERT_OK(Start(options));
  memset(remote_.data(), 1, kLength);
  Fault fault;
  fault.delay = milliseconds(1000);
  FailRequest(0, fault);
  const MonotonicTime begin = RealClock().Now();
  RecordingSink sink(1, [&](const Slice& slice, const absl::Status& status) {
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kUnavailable));
    memset(slice.local, 0x5a, slice.length);
  });
  Slice slice = MakeSlice(Operation::kRead, 0, kLength, sink);
  Slice* const posted = &slice;
  rail_->Post({&posted, 1});
  ASSERT_TRUE(sink.Wait(Soon()));
  EXPECT_LT(RealClock().Now() - begin, milliseconds(1000))
      << "too late to tell";
  NoFaults();
  // Until it would have been carried out.
  while (RealClock().Now() - begin < milliseconds(1200)) {
    TE_ASSERT_OK(Transfer(Operation::kWrite, 2 * kLength, kLength));
  }
  const std::vector<std::byte> canary(kLength, std::byte{0x5a});
  EXPECT_EQ(0, memcmp(local_.data(), canary.data(), kLength));
}

}  // namespace
}  // namespace te::rdma
