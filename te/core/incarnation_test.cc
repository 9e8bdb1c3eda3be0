// An engine that takes another's name, and even looks just the same, gets
// nothing that was meant for the other.
#include <cstddef>
#include <cstdint>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/stale_peer.h"
#include "te/base/status_matchers.h"
#include "te/core/batch.h"
#include "te/core/engine_fixture.h"
#include "te/core/request.h"
#include "te/core/transfer_engine.h"
#include "te/metadata/store_segment_resolver.h"
#include "te/transport/fake_transport.h"
#include "te/transport/slice.h"

namespace te {
namespace {

class IncarnationTest : public EngineFixture {
 protected:
  void ReplaceServer() {
    server_.engine.reset();
    StartNode("server", {.slice_bytes = kSlice}, successor_);
    TE_EXPECT_OK(client_.engine->OpenSegment("server", kEnough));
  }
  static void ExpectAllStale(const Batch& batch) {
    for (size_t i = 0; i < batch.size(); ++i) {
      EXPECT_TRUE(IsStalePeer(batch.result(i).status))
          << batch.result(i).status;
    }
  }

  Node successor_;
};

TEST_F(IncarnationTest, SlicesThatWaitForOneAreNotSentToTheNext) {
  Start({.max_connect_attempts = 1000});
  server_.engine.reset();
  const int connects = network_->connects();
  Batch batch = Submit(FourWrites());
  // Then every slice is parked.
  while (network_->connects() < connects + 2) std::this_thread::yield();
  const uint64_t sent = network_->slices();
  ReplaceServer();
  ASSERT_TRUE(batch.Wait(Soon()));
  ExpectAllStale(batch);
  EXPECT_EQ(network_->slices(), sent);
}

TEST_F(IncarnationTest, SlicesThatComeBackLateAreNotSentToTheNext) {
  Node other;
  StartNode("other", {.slice_bytes = kSlice}, other);
  // The first slice of the batch goes to `other`, and while it is posted, the
  // server is replaced: the second is posted to the rail of its predecessor.
  Request first = Write(0, 1);
  first.segment = Open("other");
  first.remote_address = reinterpret_cast<uint64_t>(other.memory.data());
  std::vector<uint64_t> lengths;
  network_->set_script([&](uint64_t, const Slice& slice) {
    lengths.push_back(slice.length);
    if (lengths.size() == 1) ReplaceServer();
    return absl::OkStatus();
  });
  Batch batch = Submit({{first, Write(0, 2)}});
  ASSERT_TRUE(batch.Wait(Soon()));
  TE_EXPECT_OK(batch.result(0).status);
  EXPECT_TRUE(IsStalePeer(batch.result(1).status)) << batch.result(1).status;
  EXPECT_EQ(lengths, std::vector<uint64_t>{1});
}

TEST_F(IncarnationTest, NotificationsForOneAreNotDeliveredToTheNext) {
  Start({.max_notifications = 1});
  SubmitOptions options;
  options.notification = {.name = "n", .message = "fills the inbox"};
  TE_EXPECT_OK(Transfer({{Write(0, 1)}}, options));
  options.notification->message = "for the first";
  Batch batch = Submit({{Write(0, 1)}}, options);
  ASSERT_TRUE(batch.Wait(0, Soon()));
  // While it cannot be delivered, another engine takes over the name.
  TE_EXPECT_OK(StoreSegmentResolver(store_).Withdraw(
      "server", server_.engine->Status().incarnation, Soon()));
  server_.transport->DisconnectPeers();
  StartNode("server", {.slice_bytes = kSlice}, successor_);
  TE_EXPECT_OK(client_.engine->OpenSegment("server", kEnough));
  EXPECT_EQ((*client_.engine->DescribeSegment(segment_))->incarnation,
            successor_.engine->Status().incarnation);

  EXPECT_TRUE(server_.engine->TakeNotification(Soon()).has_value());
  const auto taken = server_.engine->TakeNotification(Soon());
  ASSERT_TRUE(taken.has_value());
  EXPECT_EQ(taken->notification.message, "for the first");
  EXPECT_TRUE(batch.Wait(Soon()));
  TE_EXPECT_OK(batch.notification_status());
  EXPECT_FALSE(successor_.engine->TakeNotification(RealClock().Now()));
}

}  // namespace
}  // namespace te
