#include "te/transfer_engine.h"

#include <sched.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <map>
#include <memory>
#include <numeric>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/nic_preference.h"
#include "te/base/status_matchers.h"
#include "te/topology/machine.h"
#include "te/topology/nic.h"
#include "te/topology/numa_node.h"
#include "te/topology/pci_address.h"

namespace te {
namespace {

using std::chrono::seconds;

constexpr Duration kEnough = seconds(30);

MonotonicTime Soon() { return DeadlineAfter(RealClock().Now(), kEnough); }

std::vector<std::byte> Pattern(size_t size, uint32_t seed) {
  std::vector<std::byte> bytes(size);
  uint32_t x = seed * 2654435761u + 1;
  for (std::byte& b : bytes) {
    x = x * 1664525u + 1013904223u;
    b = static_cast<std::byte>(x >> 24);
  }
  return bytes;
}

// Two engines that find each other without a metadata service.
class TransferEngineTest : public testing::TestWithParam<std::string> {
 protected:
  void SetUp() override {
    Options options;
    options.local_server_name = GetParam();
    TE_ASSERT_OK_AND_ASSIGN(target_, CreateTransferEngine(options));
    TE_ASSERT_OK_AND_ASSIGN(initiator_, CreateTransferEngine(options));
  }

  void Expose(std::vector<std::byte>& memory,
              Access access = Access::kRemoteReadWrite) {
    TE_ASSERT_OK(target_->RegisterMemory(MemoryRegion{
        .address = memory.data(), .length = memory.size(), .access = access}));
  }
  void UseLocally(std::vector<std::byte>& memory) {
    TE_ASSERT_OK(
        initiator_->RegisterMemory(MemoryRegion{.address = memory.data(),
                                                .length = memory.size(),
                                                .access = Access::kLocalOnly}));
  }
  SegmentId Open() {
    auto id = initiator_->OpenSegment(target_->segment_name(), kEnough);
    TE_EXPECT_OK(id);
    return id.value_or(SegmentId{});
  }

  std::unique_ptr<TransferEngine> target_;
  std::unique_ptr<TransferEngine> initiator_;
};

INSTANTIATE_TEST_SUITE_P(Families, TransferEngineTest,
                         testing::Values("127.0.0.1", "[::1]"),
                         [](const auto& info) {
                           return info.param == "127.0.0.1" ? "IPv4" : "IPv6";
                         });

TEST_P(TransferEngineTest, WritesAndReadsBack) {
  constexpr size_t kSize = 5'000'001;
  std::vector<std::byte> remote(kSize);
  std::vector<std::byte> local = Pattern(kSize, 1);
  std::vector<std::byte> back(kSize);
  Expose(remote);
  UseLocally(local);
  UseLocally(back);
  const SegmentId segment = Open();
  const auto address = reinterpret_cast<uint64_t>(remote.data());

  const Request write = {.operation = Operation::kWrite,
                         .local = local.data(),
                         .segment = segment,
                         .remote_address = address,
                         .length = kSize};
  TE_ASSERT_OK_AND_ASSIGN(Batch batch, initiator_->Submit({&write, 1}));
  ASSERT_TRUE(batch.Wait(Soon()));
  TE_EXPECT_OK(batch.status());
  EXPECT_EQ(batch.result(0).bytes, kSize);
  EXPECT_TRUE(batch.result(0).local_reusable);
  EXPECT_EQ(remote, local);

  const Request read = {.operation = Operation::kRead,
                        .local = back.data(),
                        .segment = segment,
                        .remote_address = address,
                        .length = kSize};
  TE_ASSERT_OK_AND_ASSIGN(batch, initiator_->Submit({&read, 1}));
  ASSERT_TRUE(batch.Wait(Soon()));
  TE_EXPECT_OK(batch.status());
  EXPECT_EQ(back, local);
}

TEST_P(TransferEngineTest, PeersAreToldOfTheTopology) {
  Options options;
  options.local_server_name = GetParam();
  options.nics.machine = std::make_shared<const Machine>(
      Machine{.nodes = {NumaNode{}},
              .nics = {Nic{.name = "mlx5_0", .ports = {NicPort{}}}}});
  TE_ASSERT_OK_AND_ASSIGN(target_, CreateTransferEngine(options));
  TE_ASSERT_OK_AND_ASSIGN(const auto seen, initiator_->DescribeSegment(Open()));
  const NicPreference near = {.preferred = {"mlx5_0"}, .fallback = {}};
  EXPECT_EQ(seen->topology, (std::map<std::string, NicPreference>{
                                {"cpu:0", near}, {"*", near}}));
  options.nics.priority_matrix = R"({"moon": [["mlx5_0"], []]})";
  EXPECT_THAT(
      CreateTransferEngine(options),
      StatusIs(absl::StatusCode::kInvalidArgument, testing::HasSubstr("moon")));
}

// The names of this process's threads that begin so.
std::multiset<std::string> ThreadsNamed(const std::string& prefix) {
  std::multiset<std::string> names;
  for (const auto& task :
       std::filesystem::directory_iterator("/proc/self/task")) {
    std::string name;
    std::getline(std::ifstream(task.path() / "comm"), name);
    if (absl::StartsWith(name, prefix)) names.insert(name);
  }
  return names;
}

TEST_P(TransferEngineTest, EachNumaNodeHasThreadsThatCopy) {
  target_.reset();
  initiator_.reset();
  const std::vector<int> cpus = {sched_getcpu()};
  Options options;
  options.local_server_name = GetParam();
  options.protocol = "shm";
  options.nics.machine = std::make_shared<const Machine>(Machine{
      .nodes = {NumaNode{.index = 0, .cpus = cpus},
                NumaNode{.index = 1, .cpus = cpus},
                // Without memory for us, and with that of a GPU.
                NumaNode{.index = 2, .cpus = cpus, .allowed = false},
                NumaNode{.index = 3, .cpus = cpus, .gpu = PciAddress{}}}});
  TE_ASSERT_OK_AND_ASSIGN(target_, CreateTransferEngine(options));
  const std::multiset<std::string> expected = {"te-shm", "te-shm-0-0",
                                               "te-shm-1-0", "te-shm-links"};
  // They name themselves.
  const MonotonicTime deadline = Soon();
  while (ThreadsNamed("te-shm") != expected && RealClock().Now() < deadline) {
    sched_yield();
  }
  EXPECT_EQ(ThreadsNamed("te-shm"), expected);
}

TEST_P(TransferEngineTest, ManySmallRequestsInOneBatch) {
  constexpr size_t kCount = 1000;
  constexpr size_t kSize = 4096;
  std::vector<std::byte> remote(kCount * kSize);
  std::vector<std::byte> local = Pattern(kCount * kSize, 2);
  Expose(remote);
  UseLocally(local);
  const SegmentId segment = Open();
  std::vector<Request> requests;
  for (size_t i = 0; i < kCount; ++i) {
    requests.push_back(
        {.operation = Operation::kWrite,
         .local = local.data() + i * kSize,
         .segment = segment,
         .remote_address = reinterpret_cast<uint64_t>(remote.data()) +
                           (kCount - 1 - i) * kSize,
         .length = kSize});
  }
  TE_ASSERT_OK_AND_ASSIGN(Batch batch, initiator_->Submit(requests));
  ASSERT_TRUE(batch.Wait(Soon()));
  TE_ASSERT_OK(batch.status());
  for (size_t i = 0; i < kCount; ++i) {
    ASSERT_TRUE(std::equal(local.begin() + i * kSize,
                           local.begin() + (i + 1) * kSize,
                           remote.begin() + (kCount - 1 - i) * kSize))
        << "block " << i;
  }
}

}  // namespace
}  // namespace te
