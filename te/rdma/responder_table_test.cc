#include "te/rdma/responder_table.h"

#include <infiniband/verbs.h>

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/incarnation.h"
#include "te/base/mutex.h"
#include "te/base/status_matchers.h"
#include "te/rdma/device.h"
#include "te/rdma/emulated/emulated_device.h"
#include "te/rdma/emulated/emulated_device_spec.h"
#include "te/rdma/emulated/emulated_fabric.h"
#include "te/rdma/emulated/emulated_fault.h"
#include "te/rdma/endpoint_store.h"
#include "te/rdma/handshake.h"
#include "te/rdma/nic_fixture.h"
#include "te/rdma/nic_unit.h"
#include "te/rdma/rdma_options.h"
#include "te/rdma/verbs/forwarding_verbs.h"
#include "te/topology/nic.h"

namespace te::rdma {
namespace {

MonotonicTime Soon() {
  return DeadlineAfter(RealClock().Now(), std::chrono::seconds(60));
}

using absl::StatusCode;
using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

// The table of host "b", asked by clients of host "a".
class ResponderTableTest : public NicFixture {
 protected:
  static constexpr int kMaxEndpoints = 4;

  void SetUp() override {
    NicFixture::SetUp();
    nics_.push_back(std::make_unique<NicUnit>());
    nics_[0]->device = std::move(b_);
    options_.ack_timeout = 1;
    options_.retry_count = 1;
    table_.emplace(nics_, options_, endpoints_);
  }
  void TearDown() override {
    table_.reset();
    EXPECT_EQ(endpoints_.size(), 0u);
    nics_.clear();
    NicFixture::TearDown();
  }

  // For two queue pairs, of which nobody knows anything.
  HandshakeRequest Request(uint64_t rail, uint64_t session, uint64_t epoch) {
    const Port port = a_->port();
    EndpointOffer offer = {.device = "mlx5_0",
                           .port = port.nic,
                           .mtu = port.mtu,
                           .queue_pairs = {{1000, 5}, {1001, 6}},
                           .read_depth = 16};
    return {.rail_id = rail,
            .session = session,
            .epoch = epoch,
            .offer = std::move(offer)};
  }
  absl::Status Ask(const HandshakeRequest& request, uint8_t client = 1) {
    return table_->Answer(Incarnation({client}), request, Soon()).status();
  }
  int LiveQps() { return emulated_b_.live_objects().qps; }

  std::vector<std::unique_ptr<NicUnit>> nics_;
  RdmaOptions options_;
  EndpointStore endpoints_{kMaxEndpoints};
  std::optional<ResponderTable> table_;
};

TEST_F(ResponderTableTest, AnswersWithQueuePairsOfItsOwn) {
  TE_ASSERT_OK_AND_ASSIGN(
      const HandshakeResponse response,
      table_->Answer(Incarnation({1}), Request(7, 1, 1), Soon()));
  ASSERT_TRUE(response.offer.has_value());
  EXPECT_EQ(response.offer->queue_pairs.size(), 2);
  EXPECT_EQ(response.nics, 1);
  EXPECT_EQ(response.client_gid_index, 3);
  ASSERT_EQ(response.offer->port.gids->size(), 1);
  EXPECT_EQ(response.offer->port.gids->front().gid.ToString(),
            "::ffff:10.0.0.2");
  EXPECT_EQ(table_->size(), 1);
  EXPECT_EQ(LiveQps(), 2);
}

// The initiator reads them.
TEST_F(ResponderTableTest, ErrorsAboutGidsSayWhoseTheyAre) {
  HandshakeRequest request = Request(7, 1, 1);
  std::vector<GidEntry>& gids = *request.offer->port.gids;
  // As if gid_index 0, which is link-local, were forced here, and 3 there.
  gids.erase(gids.begin() + 1, gids.end());
  options_.gid_index = 3;
  EXPECT_THAT(Ask(request),
              StatusIs(StatusCode::kFailedPrecondition,
                       AllOf(HasSubstr("no GID of mlx5_0 port 1 of the target "
                                       "can talk to one of mlx5_0 port 1 of "
                                       "the initiator"),
                             Not(HasSubstr("the peer")))));
  options_.gid_index = 77;
  EXPECT_THAT(Ask(Request(7, 1, 2)),
              StatusIs(StatusCode::kNotFound,
                       HasSubstr("table of mlx5_0 port 1 of the target")));
}

TEST_F(ResponderTableTest, ANewerConnectionTakesThePlaceOfTheOlder) {
  for (uint64_t epoch = 1; epoch <= 10; ++epoch) {
    TE_ASSERT_OK(Ask(Request(7, 1, epoch)));
    EXPECT_EQ(table_->size(), 1);
    EXPECT_EQ(LiveQps(), 2);
  }
  EXPECT_THAT(Ask(Request(7, 1, 9)),
              StatusIs(StatusCode::kAborted, HasSubstr("newer handshake")));
  EXPECT_EQ(table_->size(), 1);
}

TEST_F(ResponderTableTest, ANewSessionEndsAllLanesOfTheOld) {
  for (uint32_t nic = 0; nic < 3; ++nic) {
    HandshakeRequest request = Request(7, 5, nic);
    request.client_nic = nic;
    TE_ASSERT_OK(Ask(request));
  }
  EXPECT_EQ(table_->size(), 3);
  TE_ASSERT_OK(Ask(Request(7, 6, 1)));
  EXPECT_EQ(table_->size(), 1);
  EXPECT_EQ(LiveQps(), 2);
  // Whatever its epoch is.
  EXPECT_THAT(Ask(Request(7, 5, 100)),
              StatusIs(StatusCode::kAborted, HasSubstr("newer session")));
  // Also one that only takes down.
  HandshakeRequest goodbye = Request(7, 5, 101);
  goodbye.offer.reset();
  EXPECT_THAT(Ask(goodbye), StatusIs(StatusCode::kAborted));
  EXPECT_EQ(table_->size(), 1);
}

TEST_F(ResponderTableTest, TakesDownWhatIsNotWantedAnyMore) {
  TE_ASSERT_OK(Ask(Request(7, 1, 1)));
  HandshakeRequest goodbye = Request(7, 1, 2);
  goodbye.offer.reset();
  TE_ASSERT_OK_AND_ASSIGN(const HandshakeResponse response,
                          table_->Answer(Incarnation({1}), goodbye, Soon()));
  EXPECT_FALSE(response.offer.has_value());
  EXPECT_EQ(table_->size(), 0);
  EXPECT_EQ(LiveQps(), 0);
  // The request that set it up comes late, a second time.
  EXPECT_THAT(Ask(Request(7, 1, 1)), StatusIs(StatusCode::kAborted));
  EXPECT_EQ(LiveQps(), 0);
  TE_EXPECT_OK(Ask(Request(7, 1, 3)));
}

TEST_F(ResponderTableTest, ClientsAndRailsAreApart) {
  TE_ASSERT_OK(Ask(Request(7, 5, 5), 1));
  TE_ASSERT_OK(Ask(Request(7, 1, 1), 2));
  TE_ASSERT_OK(Ask(Request(8, 1, 1), 1));
  EXPECT_EQ(table_->size(), 3);
  TE_ASSERT_OK(Ask(Request(7, 6, 1), 1));
  EXPECT_EQ(table_->size(), 3);
}

TEST_F(ResponderTableTest, ThereAreSoManyAndNoMore) {
  for (uint64_t rail = 0; rail < kMaxEndpoints; ++rail) {
    TE_ASSERT_OK(Ask(Request(rail, 1, 1)));
  }
  EXPECT_THAT(Ask(Request(100, 1, 1)), StatusIs(StatusCode::kResourceExhausted,
                                                HasSubstr("max_endpoints")));
  EXPECT_EQ(LiveQps(), 2 * kMaxEndpoints);
  // In place of another.
  TE_EXPECT_OK(Ask(Request(0, 1, 2)));
  HandshakeRequest goodbye = Request(0, 1, 3);
  goodbye.offer.reset();
  TE_EXPECT_OK(Ask(goodbye));
  TE_EXPECT_OK(Ask(Request(100, 1, 2)));
}

TEST_F(ResponderTableTest, ClearEndsAll) {
  TE_ASSERT_OK(Ask(Request(7, 2, 2)));
  TE_ASSERT_OK(Ask(Request(8, 2, 2)));
  table_->Clear();
  EXPECT_EQ(table_->size(), 0);
  EXPECT_EQ(LiveQps(), 0);
  EXPECT_EQ(endpoints_.size(), 0u);
  TE_EXPECT_OK(Ask(Request(7, 3, 1)));
}

TEST_F(ResponderTableTest, APortThatIsDownIsUnavailable) {
  emulated_b_.SetPortActive(1, false);
  TE_ASSERT_OK(nics_[0]->device->Refresh());
  EXPECT_THAT(Ask(Request(7, 1, 1)),
              StatusIs(StatusCode::kUnavailable, HasSubstr("DOWN")));
  EXPECT_EQ(endpoints_.size(), 0u);
}

TEST_F(ResponderTableTest, PortsThatCannotTalkAreToldWhy) {
  HandshakeRequest request = Request(7, 1, 1);
  request.offer->port.gids->clear();
  EXPECT_THAT(Ask(request), StatusIs(StatusCode::kFailedPrecondition));
  request = Request(7, 1, 1);
  request.offer->port.link_layer = LinkLayer::kInfiniBand;
  for (GidEntry& entry : *request.offer->port.gids) {
    entry.type = GidType::kInfiniBand;
  }
  EXPECT_THAT(Ask(request), StatusIs(StatusCode::kFailedPrecondition));
  EXPECT_EQ(LiveQps(), 0);
  EXPECT_EQ(endpoints_.size(), 0u);
}

// Of two NICs in two networks, to whichever is asked for first.
TEST_F(ResponderTableTest, AnswersWithANicInTheNetworkOfTheClient) {
  fabric_.AddDevice("b", emulated::RoceDevice("mlx5_1", {10, 0, 1, 2}));
  nics_.push_back(std::make_unique<NicUnit>());
  TE_ASSERT_OK_AND_ASSIGN(
      nics_[1]->device,
      Device::Open(fabric_.VerbsOf("b"), "mlx5_1", std::nullopt));
  table_.emplace(nics_, options_, endpoints_);
  for (uint32_t lane = 0; lane < 4; ++lane) {
    HandshakeRequest request = Request(7, 1, 1);
    request.client_nic = lane;
    request.server_nic = lane;
    TE_ASSERT_OK_AND_ASSIGN(const HandshakeResponse response,
                            table_->Answer(Incarnation({1}), request, Soon()));
    EXPECT_EQ(response.nics, 2);
    EXPECT_EQ(response.server_nic, 0) << "lane " << lane;
  }
  EXPECT_EQ(table_->size(), 4);

  // While that one is down routers may know a way to the other.
  emulated_b_.SetPortActive(1, false);
  TE_ASSERT_OK(nics_[0]->device->Refresh());
  HandshakeRequest request = Request(7, 1, 2);
  request.client_nic = request.server_nic = 1;
  TE_ASSERT_OK_AND_ASSIGN(const HandshakeResponse response,
                          table_->Answer(Incarnation({1}), request, Soon()));
  EXPECT_EQ(response.server_nic, 1);
}

TEST_F(ResponderTableTest, WhoeverDoesNotAnswerIsForgotten) {
  TE_ASSERT_OK(Ask(Request(7, 1, 1)));
  TE_ASSERT_OK(Ask(Request(8, 1, 1), 2));
  MonotonicTime now(std::chrono::hours(1));
  table_->ProbePeers(now);
  // It has just connected.
  now += options_.keepalive / 2;
  table_->ProbePeers(now);
  EXPECT_EQ(table_->size(), 2);
  const MonotonicTime deadline =
      DeadlineAfter(RealClock().Now(), std::chrono::seconds(30));
  while (table_->size() > 0 && RealClock().Now() < deadline) {
    now += options_.keepalive;
    table_->ProbePeers(now);
    std::this_thread::yield();
  }
  EXPECT_EQ(table_->size(), 0);
  EXPECT_EQ(LiveQps(), 0);
  EXPECT_EQ(endpoints_.size(), 0u);
}

// Destroys no queue pair while the test holds it back. Thread-safe.
class SlowVerbs final : public ForwardingVerbs {
 public:
  using ForwardingVerbs::ForwardingVerbs;

  void Hold() {
    MutexLock lock(mutex_);
    held_ = true;
  }
  void Release() {
    MutexLock lock(mutex_);
    held_ = false;
    changed_.NotifyAll();
  }
  // Until somebody is about to destroy one.
  bool AwaitDestroyer() {
    MutexLock lock(mutex_);
    const MonotonicTime deadline = Soon();
    while (waiting_ == 0) {
      if (!changed_.WaitUntil(mutex_, deadline)) return false;
    }
    return true;
  }

  int DestroyQp(ibv_qp* qp) override {
    {
      MutexLock lock(mutex_);
      ++waiting_;
      changed_.NotifyAll();
      while (held_) changed_.WaitUntil(mutex_, kNoDeadline);
      --waiting_;
    }
    return ForwardingVerbs::DestroyQp(qp);
  }

 private:
  Mutex mutex_;
  CondVar changed_;
  bool held_ ABSL_GUARDED_BY(mutex_) = false;
  int waiting_ ABSL_GUARDED_BY(mutex_) = 0;
};

class SlowResponderTest : public ResponderTableTest {
 protected:
  void SetUp() override {
    ResponderTableTest::SetUp();
    verbs_ = std::make_shared<SlowVerbs>(fabric_.VerbsOf("b"));
    TE_ASSERT_OK_AND_ASSIGN(nics_[0]->device,
                            Device::Open(verbs_, "mlx5_0", std::nullopt));
  }
  absl::Status TakeDown(uint64_t rail, uint64_t session, uint64_t epoch) {
    HandshakeRequest request = Request(rail, session, epoch);
    request.offer.reset();
    return Ask(request);
  }

  // While somebody is at `end`, a new session asks.
  void ExpectNewSessionWaitsFor(const std::function<void()>& end,
                                const std::function<absl::Status()>& ask) {
    verbs_->Hold();
    std::future<void> ending = std::async(std::launch::async, end);
    ASSERT_TRUE(verbs_->AwaitDestroyer());
    std::future<absl::Status> asking = std::async(std::launch::async, ask);
    // Long enough for whoever does not wait.
    EXPECT_EQ(asking.wait_for(std::chrono::milliseconds(50)),
              std::future_status::timeout);
    verbs_->Release();
    TE_EXPECT_OK(asking.get());
    ending.get();
  }

  std::shared_ptr<SlowVerbs> verbs_;
};

// Whatever else is ending them: who has been answered relies on their being
// gone.
TEST_F(SlowResponderTest, ANewSessionIsAnsweredOnceTheOldQueuePairsAreGone) {
  const std::function<void(uint64_t rail)> enders[] = {
      [&](uint64_t rail) { Ask(Request(rail, 1, 2)).IgnoreError(); },
      [&](uint64_t rail) { TE_EXPECT_OK(TakeDown(rail, 1, 2)); },
      [&](uint64_t rail) { TE_EXPECT_OK(TakeDown(rail, 2, 1)); },
      [&](uint64_t) { table_->Clear(); },
  };
  uint64_t rail = 0;
  for (const auto& end : enders) {
    for (const bool connects : {false, true}) {
      TE_ASSERT_OK(Ask(Request(++rail, 1, 1)));
      ExpectNewSessionWaitsFor([&] { end(rail); },
                               [&] {
                                 return connects ? Ask(Request(rail, 3, 1))
                                                 : TakeDown(rail, 3, 1);
                               });
      EXPECT_EQ(LiveQps(), connects ? 2 : 0);
      table_->Clear();
    }
  }
}

// As with a device that sends again for ever.
TEST_F(ResponderTableTest, WhoeverDoesNotAnswerIsForgottenWithoutAnError) {
  fabric_.SetFaultScript([](const emulated::WorkRequestInfo&) {
    emulated::Fault fault;
    fault.hang = emulated::Hang::kForGood;
    return fault;
  });
  TE_ASSERT_OK(Ask(Request(7, 1, 1)));
  MonotonicTime now(std::chrono::hours(1));
  table_->ProbePeers(now);
  now += options_.keepalive;
  table_->ProbePeers(now);
  now += options_.work_timeout - std::chrono::milliseconds(1);
  table_->ProbePeers(now);
  EXPECT_EQ(table_->size(), 1);
  now += std::chrono::milliseconds(1);
  table_->ProbePeers(now);
  EXPECT_EQ(table_->size(), 0);
  EXPECT_EQ(LiveQps(), 0);
}

// No event tells of that.
TEST_F(ResponderTableTest, AnswersWithTheMtuOfToday) {
  emulated_b_.SetMtu(1, IBV_MTU_1024);
  TE_ASSERT_OK_AND_ASSIGN(
      const HandshakeResponse response,
      table_->Answer(Incarnation({1}), Request(7, 1, 1), Soon()));
  ASSERT_TRUE(response.offer.has_value());
  EXPECT_EQ(response.offer->mtu, 1024);
}

// A probe under way must not keep queue pairs alive that were ended.
TEST_F(ResponderTableTest, NothingIsLeftWhenItIsClearedWhileProbing) {
  std::atomic<bool> stop = false;
  std::thread prober([&] {
    while (!stop) table_->ProbePeers(RealClock().Now());
  });
  for (uint64_t round = 1; round <= 300; ++round) {
    for (uint32_t nic = 0; nic < kMaxEndpoints; ++nic) {
      HandshakeRequest request = Request(7, 1, round);
      request.client_nic = nic;
      TE_ASSERT_OK(Ask(request));
    }
    table_->Clear();
    ASSERT_EQ(LiveQps(), 0) << "round " << round;
  }
  stop = true;
  prober.join();
}

}  // namespace
}  // namespace te::rdma
