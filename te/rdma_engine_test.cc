// Engines that move bytes by RDMA, over emulated devices.

#include <algorithm>
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
#include "te/base/stale_peer.h"
#include "te/base/status_matchers.h"
#include "te/core/batch.h"
#include "te/core/request.h"
#include "te/core/transfer_engine.h"
#include "te/options.h"
#include "te/rdma/emulated/emulated_device.h"
#include "te/rdma/emulated/emulated_device_spec.h"
#include "te/rdma/emulated/emulated_fabric.h"
#include "te/rdma/emulated/emulated_fault.h"
#include "te/rdma_cluster.h"
#include "te/topology/machine.h"
#include "te/topology/nic.h"
#include "te/topology/numa_node.h"
#include "te/transfer_engine.h"

namespace te {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::AllOf;
using testing::HasSubstr;
using testing::StartsWith;

constexpr Duration kEnough = seconds(30);
constexpr size_t kBytes = 8 << 20;

MonotonicTime Soon() { return DeadlineAfter(RealClock().Now(), kEnough); }

class RdmaEngineTest : public testing::Test {
 protected:
  void StartBoth(uint8_t nics, const RdmaCluster::Change& change = nullptr) {
    cluster_ = std::make_unique<RdmaCluster>();
    cluster_->AddHost("client", nics, change);
    cluster_->AddHost("server", nics, change);
    StartClient(cluster_->OptionsOf("client"));
    StartServer(cluster_->OptionsOf("server"));
    Fill(1);
    segment_ = Open();
  }
  void StartClient(const Options& options) {
    TE_ASSERT_OK_AND_ASSIGN(client_, CreateTransferEngine(options));
    TE_ASSERT_OK(
        client_->RegisterMemory(MemoryRegion{.address = local_.data(),
                                             .length = local_.size(),
                                             .access = Access::kLocalOnly}));
  }
  void StartServer(const Options& options) {
    TE_ASSERT_OK_AND_ASSIGN(server_, CreateTransferEngine(options));
    TE_ASSERT_OK_AND_ASSIGN(
        remote_buffer_,
        server_->RegisterMemory(
            MemoryRegion{.address = remote_.data(), .length = remote_.size()}));
  }
  void TearDown() override {
    client_.reset();
    server_.reset();
    if (cluster_ == nullptr) return;
    EXPECT_TRUE(cluster_->nothing_lives());
  }

  SegmentId Open() {
    const auto id = client_->OpenSegment("server", kEnough);
    TE_EXPECT_OK(id);
    return id.value_or(SegmentId{});
  }
  void Fill(uint32_t salt) {
    for (size_t i = 0; i < local_.size(); i += sizeof(salt)) {
      const uint32_t word = static_cast<uint32_t>(i) * 2654435761u + salt;
      memcpy(local_.data() + i, &word, sizeof(word));
    }
  }
  Request Whole(Operation operation) {
    return {.operation = operation,
            .local = local_.data(),
            .segment = segment_,
            .remote_address = reinterpret_cast<uint64_t>(remote_.data()),
            .length = kBytes};
  }
  absl::Status Transfer(Operation operation,
                        const SubmitOptions& options = {}) {
    const Request request = Whole(operation);
    auto batch = client_->Submit({&request, 1}, options);
    if (!batch.ok()) return batch.status();
    EXPECT_TRUE(batch->Wait(Soon()));
    if (options.notification) {
      TE_EXPECT_OK(batch->notification_status());
    }
    return batch->status();
  }
  std::string RailInUse() {
    const EngineStatus status = client_->Status();
    return status.segments.empty() ? "" : status.segments[0].rail;
  }

  std::unique_ptr<RdmaCluster> cluster_;
  std::vector<std::byte> local_ = std::vector<std::byte>(kBytes);
  std::vector<std::byte> remote_ = std::vector<std::byte>(kBytes);
  std::unique_ptr<TransferEngine> client_;
  std::unique_ptr<TransferEngine> server_;
  BufferId remote_buffer_;
  SegmentId segment_;
};

TEST_F(RdmaEngineTest, WritesReadsAndNotifies) {
  StartBoth(2);
  SubmitOptions options;
  options.notification = {.name = "done", .message = "all of it"};
  TE_ASSERT_OK(Transfer(Operation::kWrite, options));
  EXPECT_EQ(local_, remote_);
  const auto notified = server_->TakeNotification(Soon());
  ASSERT_TRUE(notified.has_value());
  EXPECT_EQ(notified->sender, "client");
  EXPECT_EQ(notified->notification.message, "all of it");
  std::fill(remote_.begin(), remote_.end(), std::byte{7});
  TE_ASSERT_OK(Transfer(Operation::kRead));
  EXPECT_EQ(local_, remote_);
  EXPECT_THAT(RailInUse(), StartsWith("rdma"));
  EXPECT_THAT(client_->Status().transports, testing::ElementsAre("rdma"));
}

// After UnregisterMemory nothing touches the memory, whatever is under way.
TEST_F(RdmaEngineTest, UnregistersInFlight) {
  StartBoth(2, [](rdma::emulated::EmulatedDeviceSpec& spec) {
    spec.bytes_per_second = 20'000'000;
  });
  const Request request = Whole(Operation::kWrite);
  TE_ASSERT_OK_AND_ASSIGN(Batch batch, client_->Submit({&request, 1}));
  // When a part of it is there.
  ASSERT_FALSE(batch.Wait(DeadlineAfter(RealClock().Now(), milliseconds(20))));
  TE_ASSERT_OK(server_->UnregisterMemory(remote_buffer_, kEnough));
  std::fill(remote_.begin(), remote_.end(), std::byte{0x5a});
  ASSERT_TRUE(batch.Wait(Soon()));
  EXPECT_THAT(batch.status(), StatusIs(absl::StatusCode::kNotFound));
  EXPECT_EQ(std::count(remote_.begin(), remote_.end(), std::byte{0x5a}),
            kBytes);
  // It is not the connection's fault.
  TE_ASSERT_OK_AND_ASSIGN(remote_buffer_,
                          server_->RegisterMemory(MemoryRegion{
                              .address = remote_.data(), .length = kBytes}));
  TE_ASSERT_OK(client_->RefreshSegment(segment_, kEnough));
  TE_ASSERT_OK(Transfer(Operation::kWrite));
  EXPECT_EQ(local_, remote_);
}

TEST_F(RdmaEngineTest, LocalMemoryIsUnregisteredInFlight) {
  StartBoth(1, [](rdma::emulated::EmulatedDeviceSpec& spec) {
    spec.bytes_per_second = 20'000'000;
  });
  std::vector<std::byte> memory(kBytes);
  TE_ASSERT_OK_AND_ASSIGN(const BufferId buffer,
                          client_->RegisterMemory(MemoryRegion{
                              .address = memory.data(), .length = kBytes}));
  Request request = Whole(Operation::kRead);
  request.local = memory.data();
  TE_ASSERT_OK_AND_ASSIGN(Batch batch, client_->Submit({&request, 1}));
  TE_EXPECT_OK(client_->UnregisterMemory(buffer, milliseconds(1)));
  std::fill(memory.begin(), memory.end(), std::byte{0x5a});
  ASSERT_TRUE(batch.Wait(Soon()));
  EXPECT_FALSE(batch.status().ok());
  TE_ASSERT_OK(Transfer(Operation::kRead));
  EXPECT_EQ(std::count(memory.begin(), memory.end(), std::byte{0x5a}), kBytes);
}

TEST_F(RdmaEngineTest, ARestartedPeerIsStaleUntilItIsOpenedAgain) {
  StartBoth(2);
  for (int round = 0; round < 3; ++round) {
    TE_ASSERT_OK(Transfer(Operation::kWrite));
    server_.reset();
    std::fill(remote_.begin(), remote_.end(), std::byte{});
    StartServer(cluster_->OptionsOf("server"));
    const absl::Status status = Transfer(Operation::kWrite);
    if (!status.ok()) {
      // Else the store has told of the restart meanwhile.
      EXPECT_TRUE(IsStalePeer(status) || absl::IsUnavailable(status)) << status;
      EXPECT_EQ(std::count(remote_.begin(), remote_.end(), std::byte{}), kBytes)
          << "bytes for the predecessor";
    }
    segment_ = Open();
    TE_ASSERT_OK(Transfer(Operation::kWrite));
    EXPECT_EQ(local_, remote_);
  }
}

TEST_F(RdmaEngineTest, OneOfTwoPortsGoesDownAndNoRequestFails) {
  StartBoth(2, [](rdma::emulated::EmulatedDeviceSpec& spec) {
    spec.bytes_per_second = 400'000'000;
  });
  for (uint32_t round = 0; round < 8; ++round) {
    Fill(round + 10);
    const char* const host = round % 2 == 0 ? "client" : "server";
    rdma::emulated::EmulatedDevice& device =
        cluster_->device(host, round / 2 % 2);
    const Request request = Whole(Operation::kWrite);
    TE_ASSERT_OK_AND_ASSIGN(Batch batch, client_->Submit({&request, 1}));
    batch.Wait(DeadlineAfter(RealClock().Now(), milliseconds(3)));
    device.SetPortActive(1, false);
    ASSERT_TRUE(batch.Wait(Soon()));
    TE_ASSERT_OK(batch.status());
    EXPECT_EQ(local_, remote_);
    device.SetPortActive(1, true);
  }
}

TEST_F(RdmaEngineTest, TheOnlyPortGoesDownAndUp) {
  StartBoth(1);
  TE_ASSERT_OK(Transfer(Operation::kWrite));
  cluster_->device("client", 0).SetPortActive(1, false);
  SubmitOptions options;
  options.timeout = seconds(1);
  const absl::Status status = Transfer(Operation::kWrite, options);
  EXPECT_FALSE(status.ok());
  EXPECT_THAT(std::string(status.message()), HasSubstr("port 1 is DOWN"));
  cluster_->device("client", 0).SetPortActive(1, true);
  Fill(3);
  TE_ASSERT_OK(Transfer(Operation::kWrite)) << "without a restart";
  EXPECT_EQ(local_, remote_);
}

TEST_F(RdmaEngineTest, RdmaWithoutADeviceSaysWhatThereIs) {
  cluster_ = std::make_unique<RdmaCluster>();
  cluster_->AddHost("none", 0);
  EXPECT_THAT(cluster_->StartEngine("none"),
              StatusIs(absl::StatusCode::kNotFound,
                       AllOf(HasSubstr("no RDMA device that can be used"),
                             HasSubstr("found: none"))));
  // As discovery saw it.
  Options options = cluster_->OptionsOf("none");
  options.nics.machine = std::make_shared<const Machine>(Machine{
      .nodes = {NumaNode{}},
      .nics = {Nic{.name = "mlx5_7", .ports = {{.state = PortState::kDown}}}}});
  EXPECT_THAT(
      CreateTransferEngine(options),
      StatusIs(absl::StatusCode::kNotFound,
               AllOf(HasSubstr("mlx5_7"), HasSubstr("port 1 is DOWN"))));
  // A machine says more than the library knows.
  options.nics.machine = std::make_shared<const Machine>(
      Machine{.nodes = {NumaNode{}},
              .nics = {Nic{.name = "mlx5_7", .ports = {NicPort{}}}}});
  EXPECT_THAT(CreateTransferEngine(options),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("mlx5_7")));
}

TEST_F(RdmaEngineTest, RdmaWithAllPortsDownSaysSo) {
  cluster_ = std::make_unique<RdmaCluster>();
  cluster_->AddHost("down", 2, [](rdma::emulated::EmulatedDeviceSpec& spec) {
    spec.ports[0].active = false;
  });
  EXPECT_THAT(cluster_->StartEngine("down"),
              StatusIs(absl::StatusCode::kUnavailable,
                       AllOf(HasSubstr("mlx5_0 port 1 is DOWN"),
                             HasSubstr("mlx5_1 port 1 is DOWN"))));
  Options options = cluster_->OptionsOf("down");
  options.protocol = "auto";
  TE_ASSERT_OK_AND_ASSIGN(client_, CreateTransferEngine(options));
  EXPECT_THAT(client_->Status().transports, testing::ElementsAre("tcp"));
}

TEST_F(RdmaEngineTest, AutoUsesTcpWhereThePeerHasNothingElse) {
  for (const bool server_has_rdma : {false, true}) {
    client_.reset();
    server_.reset();
    cluster_ = std::make_unique<RdmaCluster>();
    cluster_->AddHost("client", 1);
    cluster_->AddHost("server", 1);
    Options options = cluster_->OptionsOf("client");
    options.protocol = "auto";
    StartClient(options);
    options = cluster_->OptionsOf("server");
    options.protocol = server_has_rdma ? "auto" : "tcp";
    StartServer(options);
    Fill(5);
    segment_ = Open();
    TE_ASSERT_OK(Transfer(Operation::kWrite));
    EXPECT_EQ(local_, remote_);
    EXPECT_THAT(RailInUse(), StartsWith(server_has_rdma ? "rdma" : "tcp"));
  }
}

// The control plane gets there, and the devices' packets do not.
TEST_F(RdmaEngineTest, AutoUsesTcpWhereTheRdmaNetworkLeadsNowhere) {
  cluster_ = std::make_unique<RdmaCluster>();
  cluster_->AddHost("client", 2);
  cluster_->AddHost("server", 2);
  cluster_->fabric().SetFaultScript([](const auto&) {
    rdma::emulated::Fault fault;
    fault.hang = rdma::emulated::Hang::kUntilError;
    return fault;
  });
  Options options = cluster_->OptionsOf("server");
  options.protocol = "auto";
  StartServer(options);
  StartClient(cluster_->OptionsOf("client"));
  EXPECT_THAT(
      client_->OpenSegment("server", seconds(5)).status(),
      StatusIs(absl::StatusCode::kUnavailable, HasSubstr("--device_name")));
  client_.reset();
  options = cluster_->OptionsOf("client");
  options.protocol = "auto";
  StartClient(options);
  TE_ASSERT_OK_AND_ASSIGN(segment_,
                          client_->OpenSegment("server", seconds(10)));
  EXPECT_THAT(RailInUse(), StartsWith("tcp"));
  Fill(6);
  TE_ASSERT_OK(Transfer(Operation::kWrite));
  EXPECT_EQ(local_, remote_);
  cluster_->fabric().SetFaultScript(nullptr);
}

TEST_F(RdmaEngineTest, OneProtocolDoesNotReachAPeerWithAnotherOne) {
  for (const std::string here : {"rdma", "tcp"}) {
    const std::string there = here == "rdma" ? "tcp" : "rdma";
    client_.reset();
    server_.reset();
    cluster_ = std::make_unique<RdmaCluster>();
    cluster_->AddHost("client", 1);
    cluster_->AddHost("server", 1);
    Options options = cluster_->OptionsOf("client");
    options.protocol = here;
    StartClient(options);
    options = cluster_->OptionsOf("server");
    options.protocol = there;
    StartServer(options);
    EXPECT_THAT(
        client_->OpenSegment("server", seconds(5)).status(),
        StatusIs(absl::StatusCode::kUnimplemented,
                 AllOf(HasSubstr("segment server can be reached over " + there),
                       HasSubstr("this engine has " + here),
                       testing::Not(HasSubstr("version")))));
  }
}

}  // namespace
}  // namespace te
