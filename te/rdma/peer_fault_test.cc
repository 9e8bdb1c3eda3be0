// The peer's control plane fails when it is needed: to connect, or to make sure
// that nothing late arrives.

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <functional>
#include <memory>
#include <ostream>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/incarnation.h"
#include "te/base/stale_peer.h"
#include "te/base/status_matchers.h"
#include "te/rdma/handshake.h"
#include "te/rdma/rail_fixture.h"
#include "te/transport/recording_sink.h"
#include "te/transport/slice.h"

namespace te::rdma {
namespace {

using Answer = ScriptedChannel::Answer;
using Go = std::function<Answer()>;
using emulated::Fault;
using std::chrono::milliseconds;

bool OnlyTakesDown(absl::string_view request) {
  const auto parsed = ParseRequest(request);
  return parsed.ok() && !parsed->offer;
}

struct Case {
  std::string name;
  ScriptedChannel::Script script;
  friend void PrintTo(const Case& param, std::ostream* os) {
    *os << param.name;
  }
};

class PeerFaultTest : public RailFixture,
                      public testing::WithParamInterface<Case> {
 protected:
  void SetUp() override {
    MakeHosts();
    options_ = Quick();
    options_.handshake_timeout = milliseconds(200);
    TE_ASSERT_OK(Start(options_));
  }
  void BreakNext() {
    Fault fault;
    fault.status = IBV_WC_RETRY_EXC_ERR;
    FailRequest(0, fault);
  }
  RdmaOptions options_;
};

INSTANTIATE_TEST_SUITE_P(
    Channels, PeerFaultTest,
    testing::Values(
        Case{"Unavailable",
             [](absl::string_view, MonotonicTime, const Go&) -> Answer {
               return absl::UnavailableError("scripted");
             }},
        Case{"Garbage",
             [](absl::string_view, MonotonicTime, const Go&) -> Answer {
               return std::string("\xff\x01garbage");
             }},
        Case{"Empty",
             [](absl::string_view, MonotonicTime, const Go&) -> Answer {
               return std::string();
             }},
        Case{"AnswerLost",
             [](absl::string_view, MonotonicTime, const Go& go) -> Answer {
               go().status().IgnoreError();
               return absl::UnavailableError("the answer is lost");
             }},
        Case{"Hangs",
             [](absl::string_view, MonotonicTime deadline, const Go&) {
               return ScriptedChannel::Hang(deadline);
             }}),
    testing::PrintToStringParamName());

TEST_P(PeerFaultTest, ABrokenLaneCannotBeFenced) {
  for (int round = 0; round < 3; ++round) {
    channel_->SetScript(GetParam().script);
    BreakNext();
    size_t failed = 0;
    for (const absl::Status& status :
         TransferMany(Operation::kWrite, 20, 1000)) {
      failed += status.ok() ? 0 : 1;
      EXPECT_TRUE(status.ok() || absl::IsUnavailable(status)) << status;
    }
    EXPECT_GT(failed, 0);
    EXPECT_THAT(rail_->health(), StatusIs(absl::StatusCode::kUnavailable));
    // It only refuses now.
    EXPECT_THAT(Transfer(), StatusIs(absl::StatusCode::kUnavailable));
    NoFaults();
    CloseRail();
    channel_->SetScript(nullptr);
    TE_ASSERT_OK(Connect());
    TE_ASSERT_OK(Transfer());
    TE_ASSERT_OK(Transfer(Operation::kRead));
  }
}

TEST_P(PeerFaultTest, ARailCannotBeMade) {
  CloseRail();
  channel_->SetScript(GetParam().script);
  const MonotonicTime begin = RealClock().Now();
  const auto rail =
      client_->Connect({.name = "server", .incarnation = server_id_}, kRailId,
                       channel_, In(milliseconds(300)));
  // Nor can the peer be told to end what came before.
  EXPECT_THAT(rail, StatusIs(absl::StatusCode::kAborted));
  EXPECT_LT(RealClock().Now() - begin, std::chrono::seconds(10));
  channel_->SetScript(nullptr);
  TE_ASSERT_OK(Connect());
  TE_EXPECT_OK(Transfer());
}

// Then another transport may take over: nothing of an earlier rail can arrive.
TEST_F(PeerFaultTest, ARailThatCannotBeMadeEndsWhatThereWasBefore) {
  auto goodbyes = std::make_shared<std::atomic<int>>(0);
  channel_->SetScript([=](absl::string_view, MonotonicTime, const Go&) {
    ++*goodbyes;
    return Answer(absl::UnavailableError("lost"));
  });
  CloseRail();
  ASSERT_TRUE(Await([&] { return *goodbyes == 1; }));
  EXPECT_EQ(pair_->b(0).live_objects().qps, options_.num_qp);
  channel_->SetScript(
      [](absl::string_view request, MonotonicTime, const Go& go) -> Answer {
        if (OnlyTakesDown(request)) return go();
        return absl::UnavailableError("no connection");
      });
  EXPECT_THAT(MakeRail(kRailId), StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_EQ(pair_->b(0).live_objects().qps, 0);
  channel_->SetScript(nullptr);
}

// A rail whose peer does not answer closes at once all the same.
TEST_P(PeerFaultTest, CloseDoesNotNeedThePeer) {
  channel_->SetScript(GetParam().script);
  Fault fault;
  fault.hang = emulated::Hang::kUntilError;
  FailRequest(0, fault);
  RecordingSink sink(1);
  Slice slice = MakeSlice(Operation::kWrite, 0, 1000, sink);
  Slice* const posted = &slice;
  rail_->Post({&posted, 1});
  const MonotonicTime begin = RealClock().Now();
  CloseRail();
  EXPECT_LT(RealClock().Now() - begin, std::chrono::seconds(5));
  EXPECT_THAT(sink.status(), StatusIs(absl::StatusCode::kCancelled));
}

// What was sent over a rail does not arrive once there is another of its id,
// however late it is.
TEST_F(PeerFaultTest, NothingLateArrivesOnceTheRailIsMadeAnew) {
  for (const bool fence_lost : {false, true}) {
    memset(local_.data(), 1, 1000);
    memset(remote_.data(), 0, 1000);
    Fault fault;
    fault.delay = milliseconds(200);
    FailRequest(0, fault);
    RecordingSink sink(1);
    Slice slice = MakeSlice(Operation::kWrite, 0, 1000, sink);
    Slice* const posted = &slice;
    rail_->Post({&posted, 1});
    const MonotonicTime begin = RealClock().Now();
    if (fence_lost) {
      channel_->SetScript(
          [](absl::string_view request, MonotonicTime, const Go& go) -> Answer {
            if (OnlyTakesDown(request)) return absl::UnavailableError("lost");
            return go();
          });
    }
    CloseRail();
    ASSERT_TRUE(sink.Wait(Soon()));
    TE_ASSERT_OK(Connect());
    NoFaults();
    // The old ones are gone, at both ends.
    EXPECT_EQ(pair_->b(0).live_objects().qps, options_.num_qp);
    EXPECT_EQ(pair_->a(0).live_objects().qps, options_.num_qp);
    memset(local_.data(), 2, 1000);
    do {
      TE_ASSERT_OK(Transfer());
    } while (RealClock().Now() - begin < milliseconds(300));
    const std::vector<std::byte> expected(1000, std::byte{2});
    EXPECT_EQ(0, memcmp(remote_.data(), expected.data(), 1000));
    channel_->SetScript(nullptr);
  }
}

// The goodbye of a rail that comes after its successor does not take that one
// down.
TEST_F(PeerFaultTest, ALateGoodbyeIsRefused) {
  auto held = std::make_shared<std::atomic<bool>>(true);
  auto refused = std::make_shared<std::atomic<int>>(0);
  channel_->SetScript(
      [=](absl::string_view request, MonotonicTime, const Go& go) -> Answer {
        if (!OnlyTakesDown(request)) return go();
        while (*held) std::this_thread::yield();
        Answer answer = go();
        if (absl::IsAborted(answer.status())) ++*refused;
        return answer;
      });
  CloseRail();
  TE_ASSERT_OK(Connect());
  TE_ASSERT_OK(Transfer());
  *held = false;
  EXPECT_TRUE(Await([&] { return *refused == 1; }));
  channel_->SetScript(nullptr);
  for (const absl::Status& status : TransferMany(Operation::kRead, 20, 1000)) {
    TE_EXPECT_OK(status);
  }
  TE_EXPECT_OK(rail_->health());
}

// The server has another incarnation: the channel leads to a successor.
TEST_F(PeerFaultTest, AStalePeerIsNotTalkedTo) {
  CloseRail();
  const auto rail =
      client_->Connect({.name = "server", .incarnation = Incarnation({9})},
                       kRailId, channel_, Soon());
  EXPECT_TRUE(IsStalePeer(rail.status())) << rail.status();
  TE_ASSERT_OK(Connect());
}

}  // namespace
}  // namespace te::rdma
