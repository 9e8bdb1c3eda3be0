// Two engines connect to each other at the same moment.

#include <infiniband/verbs.h>

#include <atomic>
#include <barrier>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <future>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/status_macros.h"
#include "te/base/status_matchers.h"
#include "te/core/batch.h"
#include "te/core/request.h"
#include "te/core/transfer_engine.h"
#include "te/options.h"
#include "te/rdma/emulated/emulated_device.h"
#include "te/rdma/emulated/emulated_fabric.h"
#include "te/rdma/emulated/emulated_fault.h"
#include "te/rdma_cluster.h"
#include "te/transfer_engine.h"

namespace te {
namespace {

constexpr Duration kEnough = std::chrono::seconds(30);
constexpr size_t kBytes = 1 << 20;

MonotonicTime Soon() { return DeadlineAfter(RealClock().Now(), kEnough); }

// Waits for what other threads do, and that cannot be waited for.
bool Await(const std::function<bool()>& condition) {
  const MonotonicTime deadline = Soon();
  while (!condition()) {
    if (RealClock().Now() > deadline) return false;
    std::this_thread::yield();
  }
  return true;
}

class RdmaMutualTest : public testing::TestWithParam<int> {
 protected:
  struct Node {
    std::string name;
    std::unique_ptr<TransferEngine> engine;
    // What it writes to its peer, what its peer writes, and what it reads back.
    std::vector<std::byte> sent = std::vector<std::byte>(kBytes);
    std::vector<std::byte> received = std::vector<std::byte>(kBytes);
    std::vector<std::byte> read = std::vector<std::byte>(kBytes);
    SegmentId peer;
  };

  void SetUp() override {
    for (Node* node : {&left_, &right_}) {
      cluster_.AddHost(node->name, static_cast<uint8_t>(GetParam()));
      TE_ASSERT_OK_AND_ASSIGN(node->engine, cluster_.StartEngine(node->name));
      for (auto* memory : {&node->sent, &node->received, &node->read}) {
        TE_ASSERT_OK(node->engine->RegisterMemory(
            MemoryRegion{.address = memory->data(), .length = memory->size()}));
      }
    }
  }
  void TearDown() override {
    left_.engine.reset();
    right_.engine.reset();
    EXPECT_TRUE(cluster_.nothing_lives());
  }

  static absl::Status Transfer(Node& from, const Request& request) {
    TE_ASSIGN_OR_RETURN(Batch batch, from.engine->Submit({&request, 1}));
    EXPECT_TRUE(batch.Wait(Soon()));
    return batch.status();
  }
  static absl::Status WriteAndRead(Node& from, Node& to) {
    const auto remote = reinterpret_cast<uint64_t>(to.received.data());
    TE_RETURN_IF_ERROR(Transfer(from, {.operation = Operation::kWrite,
                                       .local = from.sent.data(),
                                       .segment = from.peer,
                                       .remote_address = remote,
                                       .length = kBytes}));
    return Transfer(from, {.operation = Operation::kRead,
                           .local = from.read.data(),
                           .segment = from.peer,
                           .remote_address = remote,
                           .length = kBytes});
  }
  static absl::Status OpenAndTransfer(Node& from, Node& to) {
    TE_ASSIGN_OR_RETURN(from.peer, from.engine->OpenSegment(to.name, kEnough));
    return WriteAndRead(from, to);
  }

  // Does the same on both sides at once.
  void OnBoth(const std::function<absl::Status(Node& from, Node& to)>& action) {
    std::barrier start(2);
    const auto run = [&](Node& from, Node& to) {
      start.arrive_and_wait();
      return action(from, to);
    };
    std::future<absl::Status> other =
        std::async(std::launch::async, [&] { return run(right_, left_); });
    TE_EXPECT_OK(run(left_, right_));
    TE_EXPECT_OK(other.get());
  }
  void Fill(int round) {
    left_.sent.assign(kBytes, std::byte(2 * round));
    right_.sent.assign(kBytes, std::byte(2 * round + 1));
  }
  void ExpectAllArrived() {
    EXPECT_EQ(right_.received, left_.sent);
    EXPECT_EQ(left_.received, right_.sent);
    EXPECT_EQ(left_.read, left_.sent);
    EXPECT_EQ(right_.read, right_.sent);
  }

  int Qps(const Node& node, int nic) {
    return cluster_.device(node.name, static_cast<size_t>(nic))
        .live_objects()
        .qps;
  }
  // Lane i goes from NIC i to NIC i, so each endpoint has its queue pairs here
  // as there, unless it is being made or given up.
  bool IsSettled() {
    for (int nic = 0; nic < GetParam(); ++nic) {
      if (Qps(left_, nic) != Qps(right_, nic)) return false;
    }
    return true;
  }
  void ExpectOneEndpointEachWay() {
    ASSERT_TRUE(Await([&] { return IsSettled(); }));
    const int both_ways = 2 * RdmaOptions().num_qp;
    int all = 0;
    for (int nic = 0; nic < GetParam(); ++nic) {
      EXPECT_LE(Qps(left_, nic), both_ways) << "NIC " << nic;
      all += Qps(left_, nic);
    }
    EXPECT_GE(all, both_ways);
  }
  void ExpectNoEndpoints() {
    EXPECT_TRUE(Await([&] {
      int all = 0;
      for (int nic = 0; nic < GetParam(); ++nic) {
        all += Qps(left_, nic) + Qps(right_, nic);
      }
      return all == 0;
    }));
  }

  RdmaCluster cluster_;
  Node left_{.name = "left"};
  Node right_{.name = "right"};
};

INSTANTIATE_TEST_SUITE_P(Nics, RdmaMutualTest, testing::Values(1, 2),
                         testing::PrintToStringParamName());

TEST_P(RdmaMutualTest, BothOpenAtOnce) {
  for (int round = 0; round < 200 && !HasFailure(); ++round) {
    SCOPED_TRACE(round);
    Fill(round);
    OnBoth(OpenAndTransfer);
    ExpectAllArrived();
    ExpectOneEndpointEachWay();
    OnBoth(
        [](Node& from, Node&) { return from.engine->CloseSegment(from.peer); });
    ExpectNoEndpoints();
  }
}

// The connections of both break under their first request.
TEST_P(RdmaMutualTest, BothRecoverAtOnce) {
  OnBoth(OpenAndTransfer);
  for (int round = 0; round < 200 && !HasFailure(); ++round) {
    SCOPED_TRACE(round);
    Fill(round);
    std::atomic<bool> left_failed = false;
    std::atomic<bool> right_failed = false;
    cluster_.fabric().SetFaultScript(
        [&](const rdma::emulated::WorkRequestInfo& info) {
          rdma::emulated::Fault fault;
          std::atomic<bool>& failed =
              info.host == left_.name ? left_failed : right_failed;
          if (info.length > 0 && !failed.exchange(true)) {
            fault.status = IBV_WC_RETRY_EXC_ERR;
          }
          return fault;
        });
    OnBoth(WriteAndRead);
    cluster_.fabric().SetFaultScript(nullptr);
    EXPECT_TRUE(left_failed && right_failed);
    ExpectAllArrived();
    ExpectOneEndpointEachWay();
  }
}

}  // namespace
}  // namespace te
