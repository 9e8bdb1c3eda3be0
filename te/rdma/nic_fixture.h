#ifndef TE_RDMA_NIC_FIXTURE_H_
#define TE_RDMA_NIC_FIXTURE_H_

#include <infiniband/verbs.h>

#include <algorithm>
#include <cstddef>
#include <memory>
#include <optional>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "te/base/status_macros.h"
#include "te/base/status_matchers.h"
#include "te/rdma/device.h"
#include "te/rdma/emulated/emulated_device.h"
#include "te/rdma/emulated/emulated_device_spec.h"
#include "te/rdma/emulated/emulated_fabric.h"
#include "te/rdma/emulated/fabric_options.h"
#include "te/rdma/queue_pair.h"
#include "te/rdma/verbs/objects.h"

namespace te::rdma {

// A device for each of two hosts, "a" and "b", which are opened, for tests of
// what transports are made of.
class NicFixture : public testing::Test {
 protected:
  // A queue pair, and where its completions go.
  struct End {
    CompletionQueueObject completions;
    std::optional<QueuePair> pair;
  };

  explicit NicFixture(emulated::WireMode mode = emulated::WireMode::kImmediate)
      : fabric_({.mode = mode}),
        emulated_a_(fabric_.AddDevice(
            "a", emulated::RoceDevice("mlx5_0", {10, 0, 0, 1}))),
        emulated_b_(fabric_.AddDevice(
            "b", emulated::RoceDevice("mlx5_0", {10, 0, 0, 2}))) {}

  void SetUp() override {
    TE_ASSERT_OK_AND_ASSIGN(
        a_, Device::Open(fabric_.VerbsOf("a"), "mlx5_0", std::nullopt));
    TE_ASSERT_OK_AND_ASSIGN(
        b_, Device::Open(fabric_.VerbsOf("b"), "mlx5_0", std::nullopt));
  }
  void TearDown() override {
    a_.reset();
    b_.reset();
    EXPECT_EQ(emulated_a_.live_objects(), emulated::LiveObjects());
    EXPECT_EQ(emulated_b_.live_objects(), emulated::LiveObjects());
  }

  static absl::StatusOr<End> MakeEnd(const Device& device,
                                     QueuePairLimits limits) {
    End end;
    end.completions = CompletionQueueObject(
        device.verbs(),
        device.verbs().CreateCq(device.context(), 1024, nullptr, nullptr, 0));
    TE_ASSIGN_OR_RETURN(
        end.pair, QueuePair::Create(device, end.completions.get(), 0, limits));
    return end;
  }
  // Connects both ends.
  absl::Status Connect(End& a, End& b) {
    TE_RETURN_IF_ERROR(a.pair->Connect(*a_, b.pair->address(), PathTo(*b_)));
    return b.pair->Connect(*b_, a.pair->address(), PathTo(*a_));
  }
  static Path PathTo(const Device& device) {
    Path path;
    path.local_gid_index = 3;
    path.remote_gid = device.port().nic.gids->back().gid;
    path.mtu = 4096;
    path.reads_sent = 16;
    path.ack_timeout = 4;
    return path;
  }
  // What the device knows of a queue pair.
  static ibv_qp_attr AttributesOf(const Device& device, const QueuePair& pair) {
    ibv_qp_attr attr = {};
    ibv_qp_init_attr init = {};
    EXPECT_EQ(device.verbs().QueryQp(pair.get(), &attr, IBV_QP_STATE, &init),
              0);
    return attr;
  }
  // What has completed.
  static std::vector<ibv_wc> Completions(End& end) {
    std::vector<ibv_wc> completions(1024);
    const int count =
        ibv_poll_cq(end.completions.get(), 1024, completions.data());
    completions.resize(static_cast<size_t>(std::max(count, 0)));
    return completions;
  }

  emulated::EmulatedFabric fabric_;
  emulated::EmulatedDevice& emulated_a_;
  emulated::EmulatedDevice& emulated_b_;
  std::unique_ptr<Device> a_;
  std::unique_ptr<Device> b_;
};

}  // namespace te::rdma

#endif  // TE_RDMA_NIC_FIXTURE_H_
