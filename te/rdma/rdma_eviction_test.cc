// More peers than there may be endpoints: the transport closes what is not
// used, and opens it again when it is.

#include <atomic>
#include <chrono>
#include <cstring>
#include <memory>
#include <thread>
#include <utility>
#include <vector>

#include "absl/types/span.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/incarnation.h"
#include "te/base/status_matchers.h"
#include "te/rdma/emulated_pair.h"
#include "te/transport/peer_channel.h"
#include "te/transport/recording_sink.h"
#include "te/transport/slice.h"
#include "te/transport/transport.h"
#include "te/transport/transport_conformance.h"

namespace te::rdma {
namespace {

using emulated::EmulatedDevice;
using emulated::FabricOptions;
using emulated::LiveObjects;
using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr int kQueuePairs = 2;
const Incarnation kClient({1});
const Incarnation kServer({2});

MonotonicTime Soon() { return DeadlineAfter(RealClock().Now(), seconds(60)); }

// Can be cut, as the network can.
class CuttableChannel final : public PeerChannel {
 public:
  explicit CuttableChannel(Transport& server) : inner_(kClient, server) {}
  absl::StatusOr<std::string> Exchange(absl::string_view transport,
                                       absl::string_view request,
                                       MonotonicTime deadline) override {
    if (cut_) return absl::UnavailableError("the channel is cut");
    return inner_.Exchange(transport, request, deadline);
  }
  void Cut() { cut_ = true; }

 private:
  LoopbackChannel inner_;
  std::atomic<bool> cut_{false};
};

class RdmaEvictionTest : public testing::Test {
 protected:
  void Start(const RdmaOptions& client, const RdmaOptions& server) {
    TE_ASSERT_OK_AND_ASSIGN(client_, pair_.MakeTransport("a", kClient, client));
    TE_ASSERT_OK_AND_ASSIGN(server_, pair_.MakeTransport("b", kServer, server));
    channel_ = std::make_shared<CuttableChannel>(*server_);
    TE_ASSERT_OK(
        client_
            ->RegisterMemory(
                {.slot = 0, .address = local_.data(), .length = local_.size()})
            .status());
    TE_ASSERT_OK_AND_ASSIGN(key_,
                            server_->RegisterMemory({.slot = 0,
                                                     .address = remote_.data(),
                                                     .length = remote_.size(),
                                                     .remote_read = true,
                                                     .remote_write = true}));
  }
  void TearDown() override {
    for (const auto& rail : rails_) rail->Close(absl::CancelledError("over"));
    rails_.clear();
    client_->UnregisterMemory(0);
    server_->UnregisterMemory(0);
    client_.reset();
    server_.reset();
    EXPECT_EQ(pair_.a(0).live_objects(), LiveObjects());
    EXPECT_EQ(pair_.b(0).live_objects(), LiveObjects());
  }

  void Connect(uint64_t rail_id) {
    TE_ASSERT_OK_AND_ASSIGN(
        const Rails rails,
        client_->Connect({.name = "server", .incarnation = kServer}, rail_id,
                         channel_, Soon()));
    rails_.push_back(rails.front());
  }
  absl::Status Write(te::Rail& rail) {
    RecordingSink sink(1);
    Slice slice;
    slice.operation = Operation::kWrite;
    slice.local = local_.data();
    slice.remote_address = reinterpret_cast<uint64_t>(remote_.data());
    slice.length = static_cast<uint32_t>(local_.size());
    slice.remote_key = key_;
    slice.sink = &sink;
    Slice* const posted = &slice;
    rail.Post({&posted, 1});
    EXPECT_TRUE(sink.Wait(Soon()));
    return sink.status();
  }

  static void AwaitQueuePairs(EmulatedDevice& device, int count) {
    const MonotonicTime deadline = Soon();
    while (device.live_objects().qps != count && RealClock().Now() < deadline) {
      std::this_thread::yield();
    }
    EXPECT_EQ(device.live_objects().qps, count);
  }

  EmulatedPair pair_{FabricOptions()};
  std::vector<std::byte> local_ = std::vector<std::byte>(4096);
  std::vector<std::byte> remote_ = std::vector<std::byte>(4096);
  std::unique_ptr<Transport> client_;
  std::unique_ptr<Transport> server_;
  std::shared_ptr<CuttableChannel> channel_;
  std::string key_;
  std::vector<std::shared_ptr<te::Rail>> rails_;
};

TEST_F(RdmaEvictionTest, MoreRailsThanEndpoints) {
  RdmaOptions options;
  options.max_endpoints = 2;
  Start(options, RdmaOptions());
  for (uint64_t id = 1; id <= 5; ++id) {
    Connect(id);
    ASSERT_LE(pair_.a(0).live_objects().qps, 2 * kQueuePairs);
  }
  for (int round = 0; round < 20; ++round) {
    for (const auto& rail : rails_) {
      memset(local_.data(), round, local_.size());
      TE_ASSERT_OK(Write(*rail));
      EXPECT_EQ(local_, remote_);
      ASSERT_LE(pair_.a(0).live_objects().qps, 2 * kQueuePairs);
    }
  }
  // The server hears of each end.
  AwaitQueuePairs(pair_.b(0), 2 * kQueuePairs);
  for (const auto& rail : rails_) TE_EXPECT_OK(rail->health());
}

TEST_F(RdmaEvictionTest, WhatNobodyUsesIsClosedAndOpenedAgain) {
  RdmaOptions options;
  options.idle_timeout = seconds(1);
  options.keepalive = milliseconds(100);
  Start(options, options);
  Connect(1);
  TE_ASSERT_OK(Write(*rails_.front()));
  AwaitQueuePairs(pair_.a(0), 0);
  AwaitQueuePairs(pair_.b(0), 0);
  TE_EXPECT_OK(rails_.front()->health());
  // The client has yet to hear that the server has ended its side.
  const MonotonicTime deadline = Soon();
  while (rails_.front()->state() != te::Rail::State::kIdle &&
         RealClock().Now() < deadline) {
    std::this_thread::yield();
  }
  EXPECT_EQ(rails_.front()->state(), te::Rail::State::kIdle);
  TE_EXPECT_OK(Write(*rails_.front()));
}

TEST_F(RdmaEvictionTest, AFullServerRefuses) {
  RdmaOptions server;
  server.max_endpoints = 1;
  Start(RdmaOptions(), server);
  Connect(1);
  EXPECT_THAT(client_
                  ->Connect({.name = "server", .incarnation = kServer}, 2,
                            channel_, Soon())
                  .status(),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       testing::HasSubstr("max_endpoints")));
  rails_.front()->Close(absl::CancelledError("makes room"));
  // The farewell is on its way.
  AwaitQueuePairs(pair_.b(0), 0);
  Connect(2);
  TE_EXPECT_OK(Write(*rails_.back()));
}

TEST_F(RdmaEvictionTest, AnIdleRailNoticesThatThePeerIsGone) {
  RdmaOptions options;
  options.keepalive = milliseconds(100);
  options.ack_timeout = 8;
  Start(options, options);
  Connect(1);
  server_->DisconnectPeers();
  // It probes, gives the connection up, and sets up another one when it is
  // used.
  AwaitQueuePairs(pair_.a(0), 0);
  TE_EXPECT_OK(Write(*rails_.front()));
}

TEST_F(RdmaEvictionTest, AServerNoticesThatAClientIsGone) {
  RdmaOptions options;
  options.keepalive = milliseconds(100);
  options.ack_timeout = 8;
  Start(options, options);
  Connect(1);
  EXPECT_EQ(pair_.b(0).live_objects().qps, kQueuePairs);
  // Neither packets come from there any more, nor a farewell.
  channel_->Cut();
  pair_.a(0).SetPortActive(1, false);
  AwaitQueuePairs(pair_.b(0), 0);
  pair_.a(0).SetPortActive(1, true);
}

}  // namespace
}  // namespace te::rdma
