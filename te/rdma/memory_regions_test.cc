#include "te/rdma/memory_regions.h"

#include <infiniband/verbs.h>

#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/status_matchers.h"
#include "te/rdma/device.h"
#include "te/rdma/emulated/emulated_device.h"
#include "te/rdma/emulated/emulated_device_spec.h"
#include "te/rdma/nic_fixture.h"
#include "te/transport/local_memory.h"

namespace te::rdma {
namespace {

using emulated::EmulatedDevice;
using emulated::EmulatedDeviceSpec;
using emulated::RoceDevice;
using testing::AllOf;
using testing::HasSubstr;

constexpr size_t kBytes = 64 << 10;

class MemoryRegionsTest : public NicFixture {
 protected:
  LocalMemory Buffer(uint32_t slot, size_t offset, size_t length) {
    return {.slot = slot,
            .address = memory_.data() + offset,
            .length = length,
            .remote_read = true,
            .remote_write = true};
  }
  // How a peer fares that accesses memory_[offset] of host "b" by that key,
  // over a connection of its own.
  ibv_wc_status Access(ibv_wr_opcode opcode, size_t offset, uint32_t length,
                       uint32_t key) {
    MemoryRegions own({a_.get()}, false, 1);
    std::vector<std::byte> local(kBytes);
    TE_EXPECT_OK(own.Register({.address = local.data(), .length = kBytes}));
    auto client = MakeEnd(*a_, {});
    auto server = MakeEnd(*b_, {});
    TE_EXPECT_OK(client);
    TE_EXPECT_OK(server);
    TE_EXPECT_OK(Connect(*client, *server));
    ibv_sge sge = {.addr = reinterpret_cast<uint64_t>(local.data()),
                   .length = length,
                   .lkey = own.LocalKey(0, 0)};
    ibv_send_wr request = {};
    request.sg_list = &sge;
    request.num_sge = 1;
    request.opcode = opcode;
    request.send_flags = IBV_SEND_SIGNALED;
    request.wr.rdma.remote_addr =
        reinterpret_cast<uint64_t>(memory_.data()) + offset;
    request.wr.rdma.rkey = key;
    ibv_send_wr* bad = nullptr;
    EXPECT_EQ(ibv_post_send(client->pair->get(), &request, &bad), 0);
    const auto completions = Completions(*client);
    EXPECT_EQ(completions.size(), 1);
    return completions.empty() ? IBV_WC_GENERAL_ERR : completions[0].status;
  }
  static uint32_t Key(const std::string& keys, size_t device = 0) {
    uint32_t key = 0;
    EXPECT_TRUE(RemoteKey(keys, device, key));
    return key;
  }

  std::vector<std::byte> memory_ = std::vector<std::byte>(kBytes);
};

TEST_F(MemoryRegionsTest, PeersHaveTheRightsThatWereGiven) {
  MemoryRegions regions({b_.get()}, true, 4);
  for (const bool read : {false, true}) {
    for (const bool write : {false, true}) {
      LocalMemory buffer = Buffer(2, 0, kBytes);
      buffer.remote_read = read;
      buffer.remote_write = write;
      TE_ASSERT_OK_AND_ASSIGN(const std::string keys, regions.Register(buffer));
      EXPECT_EQ(keys.size(), read || write ? kRemoteKeyBytes : 0);
      // Also one who guesses the key, which emulated devices make easy.
      const uint32_t key = regions.LocalKey(2, 0) + 1;
      if (!keys.empty()) {
        EXPECT_EQ(Key(keys), key);
      }
      EXPECT_EQ(Access(IBV_WR_RDMA_READ, 0, 8, key),
                read ? IBV_WC_SUCCESS : IBV_WC_REM_ACCESS_ERR);
      EXPECT_EQ(Access(IBV_WR_RDMA_WRITE, 0, 8, key),
                write ? IBV_WC_SUCCESS : IBV_WC_REM_ACCESS_ERR);
      regions.Unregister(2);
      EXPECT_EQ(Access(IBV_WR_RDMA_READ, 0, 8, key), IBV_WC_REM_ACCESS_ERR);
    }
  }
}

TEST_F(MemoryRegionsTest, BuffersMayOverlapAndAdjoin) {
  MemoryRegions regions({b_.get()}, false, 4);
  TE_ASSERT_OK_AND_ASSIGN(const std::string whole,
                          regions.Register(Buffer(0, 0, kBytes)));
  TE_ASSERT_OK_AND_ASSIGN(const std::string first,
                          regions.Register(Buffer(1, 0, kBytes / 2)));
  TE_ASSERT_OK_AND_ASSIGN(const std::string second,
                          regions.Register(Buffer(2, kBytes / 2, kBytes / 2)));
  EXPECT_EQ(Access(IBV_WR_RDMA_WRITE, 0, 8, Key(first)), IBV_WC_SUCCESS);
  EXPECT_EQ(Access(IBV_WR_RDMA_WRITE, kBytes / 2, 8, Key(first)),
            IBV_WC_REM_ACCESS_ERR);
  EXPECT_EQ(Access(IBV_WR_RDMA_WRITE, kBytes / 2 - 1, 8, Key(second)),
            IBV_WC_REM_ACCESS_ERR);
  regions.Unregister(0);
  EXPECT_EQ(Access(IBV_WR_RDMA_WRITE, 0, 8, Key(whole)), IBV_WC_REM_ACCESS_ERR);
  EXPECT_EQ(Access(IBV_WR_RDMA_WRITE, 0, 8, Key(first)), IBV_WC_SUCCESS);
  EXPECT_EQ(Access(IBV_WR_RDMA_READ, kBytes - 8, 8, Key(second)),
            IBV_WC_SUCCESS);
}

TEST_F(MemoryRegionsTest, EachDeviceHasItsKey) {
  fabric_.AddDevice("b", RoceDevice("mlx5_1", {10, 0, 1, 2}));
  TE_ASSERT_OK_AND_ASSIGN(
      const auto other,
      Device::Open(fabric_.VerbsOf("b"), "mlx5_1", std::nullopt));
  {
    // Long enough to be pinned by threads side by side.
    std::vector<std::byte> large(20 << 20);
    MemoryRegions regions({b_.get(), other.get()}, false, 2);
    TE_ASSERT_OK_AND_ASSIGN(const std::string keys,
                            regions.Register({.slot = 1,
                                              .address = large.data(),
                                              .length = large.size(),
                                              .remote_read = true}));
    ASSERT_EQ(keys.size(), 2 * kRemoteKeyBytes);
    EXPECT_EQ(Key(keys, 0), regions.LocalKey(1, 0) + 1);
    EXPECT_EQ(Key(keys, 1), regions.LocalKey(1, 1) + 1);
    uint32_t key = 0;
    EXPECT_FALSE(RemoteKey(keys, 2, key));
    EXPECT_FALSE(RemoteKey("", 0, key));
    EXPECT_FALSE(RemoteKey("abc", 0, key));
  }
}

TEST_F(MemoryRegionsTest, IfOneDeviceRefusesNoneHasIt) {
  EmulatedDeviceSpec spec = RoceDevice("mlx5_1", {10, 0, 1, 2});
  spec.max_mr = 1;
  EmulatedDevice& emulated = fabric_.AddDevice("b", spec);
  TE_ASSERT_OK_AND_ASSIGN(
      const auto other,
      Device::Open(fabric_.VerbsOf("b"), "mlx5_1", std::nullopt));
  MemoryRegions regions({b_.get(), other.get()}, false, 2);
  TE_ASSERT_OK(regions.Register(Buffer(0, 0, 100)));
  EXPECT_THAT(regions.Register(Buffer(1, 0, 100)),
              StatusIs(testing::Ne(absl::StatusCode::kOk),
                       AllOf(HasSubstr("mlx5_1 cannot register 100 bytes"),
                             HasSubstr("room for 1 regions"))));
  EXPECT_EQ(emulated_b_.live_objects().mrs, 1);
  EXPECT_EQ(emulated.live_objects().mrs, 1);
  regions.Unregister(0);
  TE_EXPECT_OK(regions.Register(Buffer(1, 0, 100)));
}

// Which limit was hit, its value, and what to do.
TEST_F(MemoryRegionsTest, ErrorsSayWhatToDo) {
  const std::vector<std::pair<int, std::string>> cases = {
      {ENOMEM, "ulimit -l) is "},
      {EAGAIN, "LimitMEMLOCK"},
      {EFAULT, "mapped"},
      {EINVAL, "kind of memory"},
      {EOPNOTSUPP, "kind of memory"},
      {ENOENT, "kernel's log"}};
  MemoryRegions regions({b_.get()}, false, 1);
  for (const auto& [error, text] : cases) {
    fabric_.FailControlVerb("b", 1, error);
    const auto keys = regions.Register(Buffer(0, 0, 100));
    EXPECT_THAT(std::string(keys.status().message()), HasSubstr(text));
    // That is what a missing remote buffer is.
    EXPECT_FALSE(absl::IsNotFound(keys.status()));
  }
  TE_EXPECT_OK(regions.Register(Buffer(0, 0, 100)));
}

TEST_F(MemoryRegionsTest, ABufferIsLongerThanTheDeviceTakes) {
  EmulatedDeviceSpec spec = RoceDevice("mlx5_1", {10, 0, 1, 2});
  spec.max_mr_size = 4096;
  fabric_.AddDevice("b", spec);
  TE_ASSERT_OK_AND_ASSIGN(
      const auto device,
      Device::Open(fabric_.VerbsOf("b"), "mlx5_1", std::nullopt));
  MemoryRegions regions({device.get()}, false, 1);
  EXPECT_THAT(
      std::string(regions.Register(Buffer(0, 0, 4097)).status().message()),
      HasSubstr("longer than the 4096 bytes"));
  TE_EXPECT_OK(regions.Register(Buffer(0, 0, 4096)));
}

}  // namespace
}  // namespace te::rdma
