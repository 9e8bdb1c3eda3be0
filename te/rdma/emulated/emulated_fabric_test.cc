#include "te/rdma/emulated/emulated_fabric.h"

#include <infiniband/verbs.h>

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstring>
#include <utility>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/rdma/emulated/test_end.h"

namespace te::rdma::emulated {
namespace {

using testing::ElementsAre;

std::vector<uint64_t> Ids(const std::vector<ibv_wc>& completions) {
  std::vector<uint64_t> ids;
  for (const ibv_wc& wc : completions) ids.push_back(wc.wr_id);
  return ids;
}

// What holds whenever and by whomever requests are carried out.
class EmulatedFabricModes : public testing::TestWithParam<WireMode> {
 protected:
  void SetUp() override {
    a_.Fill(1);
    b_.Fill(101);
    ASSERT_EQ(a_.Connect(b_), 0);
    ASSERT_EQ(b_.Connect(a_), 0);
  }

  TestNet net_{GetParam()};
  TestEnd a_{net_.fabric.VerbsOf("a")};
  TestEnd b_{net_.fabric.VerbsOf("b")};
};

INSTANTIATE_TEST_SUITE_P(All, EmulatedFabricModes,
                         testing::Values(WireMode::kThreaded,
                                         WireMode::kStepped,
                                         WireMode::kImmediate));

TEST_P(EmulatedFabricModes, WriteIsInTheTargetWhenItCompletes) {
  const std::vector<std::byte> target = b_.memory;
  ASSERT_EQ(a_.PostWrite(7, b_, 100, 200), 0);
  const ibv_wc wc = net_.Await(a_);
  EXPECT_EQ(wc.wr_id, 7u);
  EXPECT_EQ(wc.status, IBV_WC_SUCCESS);
  EXPECT_EQ(wc.opcode, IBV_WC_RDMA_WRITE);
  EXPECT_EQ(wc.qp_num, a_.qp->qp_num);
  EXPECT_EQ(memcmp(&b_.memory[100], &a_.memory[100], 200), 0);
  EXPECT_EQ(memcmp(&b_.memory[0], &target[0], 100), 0);
  EXPECT_EQ(memcmp(&b_.memory[300], &target[300], target.size() - 300), 0);
  EXPECT_THAT(b_.Poll(), ElementsAre()) << "a target must not notice";
}

TEST_P(EmulatedFabricModes, ReadFetchesFromTheTarget) {
  const std::vector<std::byte> before = a_.memory;
  ASSERT_EQ(a_.PostRead(8, b_, 64, 128), 0);
  const ibv_wc wc = net_.Await(a_);
  EXPECT_EQ(wc.status, IBV_WC_SUCCESS);
  EXPECT_EQ(wc.opcode, IBV_WC_RDMA_READ);
  EXPECT_EQ(wc.byte_len, 128u);
  EXPECT_EQ(memcmp(&a_.memory[64], &b_.memory[64], 128), 0);
  EXPECT_EQ(memcmp(&a_.memory[0], &before[0], 64), 0);
  EXPECT_EQ(memcmp(&a_.memory[192], &before[192], before.size() - 192), 0);
}

TEST_P(EmulatedFabricModes, SendFillsTheOldestReceive) {
  ASSERT_EQ(b_.PostRecv(1, 1024, 64), 0);
  ASSERT_EQ(b_.PostRecv(2, 2048, 64), 0);
  ASSERT_EQ(a_.PostSend(3, 10, 48), 0);
  EXPECT_EQ(net_.Await(a_).opcode, IBV_WC_SEND);
  const ibv_wc wc = net_.Await(b_);
  EXPECT_EQ(wc.wr_id, 1u);
  EXPECT_EQ(wc.status, IBV_WC_SUCCESS);
  EXPECT_EQ(wc.opcode, IBV_WC_RECV);
  EXPECT_EQ(wc.byte_len, 48u);
  EXPECT_EQ(wc.src_qp, a_.qp->qp_num);
  EXPECT_EQ(wc.qp_num, b_.qp->qp_num);
  EXPECT_EQ(memcmp(&b_.memory[1024], &a_.memory[10], 48), 0);
}

TEST_P(EmulatedFabricModes, GathersAndScatters) {
  ibv_sge sges[3] = {a_.Sge(0, 16), a_.Sge(512, 0), a_.Sge(256, 32)};
  ibv_send_wr write = a_.Rdma(IBV_WR_RDMA_WRITE, 1, b_, sges, 1000);
  write.num_sge = 3;
  ASSERT_EQ(a_.Post(write), 0);
  ASSERT_EQ(net_.Await(a_).status, IBV_WC_SUCCESS);
  EXPECT_EQ(memcmp(&b_.memory[1000], &a_.memory[0], 16), 0);
  EXPECT_EQ(memcmp(&b_.memory[1016], &a_.memory[256], 32), 0);

  ibv_send_wr read = a_.Rdma(IBV_WR_RDMA_READ, 2, b_, sges, 2000);
  read.num_sge = 3;
  ASSERT_EQ(a_.Post(read), 0);
  ASSERT_EQ(net_.Await(a_).byte_len, 48u);
  EXPECT_EQ(memcmp(&a_.memory[0], &b_.memory[2000], 16), 0);
  EXPECT_EQ(memcmp(&a_.memory[256], &b_.memory[2016], 32), 0);
}

TEST_P(EmulatedFabricModes, InlineDataAreCopiedWhenPosted) {
  // Not registered: inline data need no key.
  std::vector<std::byte> source(64, std::byte{0x42});
  ibv_sge sge = {reinterpret_cast<uint64_t>(source.data()), 64, 0};
  ibv_send_wr wr = a_.Rdma(IBV_WR_RDMA_WRITE, 1, b_, &sge, 0);
  wr.send_flags |= IBV_SEND_INLINE;
  ASSERT_EQ(a_.Post(wr), 0);
  source.assign(64, std::byte{0});
  ASSERT_EQ(net_.Await(a_).status, IBV_WC_SUCCESS);
  EXPECT_EQ(b_.memory[0], std::byte{0x42});
  EXPECT_EQ(b_.memory[63], std::byte{0x42});
}

TEST_P(EmulatedFabricModes, AListCompletesInOrder) {
  ibv_sge sge = a_.Sge(0, 8);
  std::vector<ibv_send_wr> list(5);
  for (size_t i = 0; i < list.size(); ++i) {
    list[i] = a_.Rdma(i % 2 == 0 ? IBV_WR_RDMA_WRITE : IBV_WR_RDMA_READ, i, b_,
                      &sge, 0);
    if (i > 0) list[i - 1].next = &list[i];
  }
  ibv_send_wr* bad = nullptr;
  ASSERT_EQ(ibv_post_send(a_.qp, list.data(), &bad), 0);
  EXPECT_THAT(Ids(net_.Await(a_, 5)), ElementsAre(0, 1, 2, 3, 4));
}

TEST_P(EmulatedFabricModes, LaterRequestsSeeWhatEarlierOnesWrote) {
  a_.memory[0] = std::byte{0x77};
  ASSERT_EQ(a_.PostWrite(1, b_, 0, 1, 0), 0);
  // Reads it back to another place.
  ibv_sge sge = a_.Sge(1, 1);
  ASSERT_EQ(a_.Post(a_.Rdma(IBV_WR_RDMA_READ, 2, b_, &sge, 0)), 0);
  ASSERT_EQ(net_.Await(a_).wr_id, 2u);
  EXPECT_EQ(a_.memory[1], std::byte{0x77});
}

TEST_P(EmulatedFabricModes, BothEndsSendAtOnce) {
  ASSERT_EQ(a_.PostWrite(1, b_, 0, 64), 0);
  ASSERT_EQ(b_.PostWrite(2, a_, 128, 64), 0);
  EXPECT_EQ(net_.Await(a_).status, IBV_WC_SUCCESS);
  EXPECT_EQ(net_.Await(b_).status, IBV_WC_SUCCESS);
  EXPECT_EQ(memcmp(&a_.memory[128], &b_.memory[128], 64), 0);
  EXPECT_EQ(memcmp(&a_.memory[0], &b_.memory[0], 64), 0);
}

TEST(EmulatedFabric, AQueuePairMayBeConnectedToItself) {
  TestNet net;
  TestEnd a(net.fabric.VerbsOf("a"));
  a.Fill(3);
  ASSERT_EQ(a.Connect(a), 0);
  ibv_sge sge = a.Sge(0, 32);
  ASSERT_EQ(a.Post(a.Rdma(IBV_WR_RDMA_WRITE, 1, a, &sge, 64)), 0);
  ASSERT_EQ(net.Await(a).status, IBV_WC_SUCCESS);
  EXPECT_EQ(memcmp(&a.memory[64], &a.memory[0], 32), 0);

  sge.lkey = 0;
  ibv_send_wr bad_key = a.Rdma(IBV_WR_RDMA_WRITE, 2, a, &sge, 64);
  ASSERT_EQ(a.PostRecv(3), 0);
  ASSERT_EQ(a.Post(bad_key), 0);
  EXPECT_EQ(net.Await(a).status, IBV_WC_LOC_PROT_ERR);
  EXPECT_EQ(net.Await(a).status, IBV_WC_WR_FLUSH_ERR);
}

TEST(EmulatedFabric, InfiniBandConnectsByLid) {
  TestNet net({.mode = WireMode::kStepped}, InfiniBandDevice("mlx5_0", 17),
              InfiniBandDevice("mlx5_0", 18));
  TestEnd a(net.fabric.VerbsOf("a"));
  TestEnd b(net.fabric.VerbsOf("b"));
  a.Fill(5);
  ASSERT_EQ(a.Connect(b), 0);
  ASSERT_EQ(b.Connect(a), 0);
  ASSERT_EQ(a.PostWrite(1, b, 0, 100), 0);
  EXPECT_EQ(net.Await(a).status, IBV_WC_SUCCESS);
  EXPECT_EQ(memcmp(a.memory.data(), b.memory.data(), 100), 0);
}

TEST(EmulatedFabric, ListsTheDevicesOfAHost) {
  TestNet net;
  net.fabric.AddDevice("a", RoceDevice("mlx5_1", {10, 0, 1, 1}));
  const std::shared_ptr<Verbs> verbs = net.fabric.VerbsOf("a");
  int count = 0;
  ibv_device** const list = verbs->GetDeviceList(&count);
  ASSERT_EQ(count, 2);
  EXPECT_STREQ(verbs->GetDeviceName(list[0]), "mlx5_0");
  EXPECT_STREQ(verbs->GetDeviceName(list[1]), "mlx5_1");
  EXPECT_EQ(list[2], nullptr);
  verbs->FreeDeviceList(list);

  const std::shared_ptr<Verbs> none = net.fabric.VerbsOf("no such host");
  ibv_device** const empty = none->GetDeviceList(&count);
  ASSERT_NE(empty, nullptr);
  EXPECT_EQ(count, 0);
  EXPECT_EQ(empty[0], nullptr);
  none->FreeDeviceList(empty);
}

TEST(EmulatedFabric, DevicesSayWhatTheirSpecSays) {
  EmulatedDeviceSpec spec = RoceDevice("rocep1s0", {192, 168, 0, 7});
  spec.max_qp = 11;
  spec.max_mr = 12;
  spec.max_mr_size = 13 << 20;
  spec.max_cqe = 14;
  spec.max_qp_wr = 15;
  spec.max_sge = 16;
  spec.max_qp_rd_atom = 17;
  spec.max_msg_sz = 18;
  spec.ports[0].active_mtu = IBV_MTU_1024;
  spec.ports[0].active_width = 8;
  spec.ports[0].active_speed = 32;
  EmulatedPortSpec down;
  down.link_layer = IBV_LINK_LAYER_INFINIBAND;
  down.lid = 99;
  down.active = false;
  spec.ports.push_back(down);
  TestNet net({.mode = WireMode::kStepped}, spec,
              InfiniBandDevice("mlx5_0", 18));
  const std::shared_ptr<Verbs> verbs = net.fabric.VerbsOf("a");
  ibv_device** const list = verbs->GetDeviceList(nullptr);
  ibv_context* const context = verbs->OpenDevice(list[0]);
  verbs->FreeDeviceList(list);

  ibv_device_attr device;
  ASSERT_EQ(verbs->QueryDevice(context, &device), 0);
  EXPECT_EQ(device.max_qp, 11);
  EXPECT_EQ(device.max_mr, 12);
  EXPECT_EQ(device.max_mr_size, 13u << 20);
  EXPECT_EQ(device.max_cqe, 14);
  EXPECT_EQ(device.max_qp_wr, 15);
  EXPECT_EQ(device.max_sge, 16);
  EXPECT_EQ(device.max_qp_rd_atom, 17);
  EXPECT_EQ(device.max_qp_init_rd_atom, 17);
  EXPECT_EQ(device.phys_port_cnt, 2);

  ibv_port_attr port;
  ASSERT_EQ(verbs->QueryPort(context, 1, &port), 0);
  EXPECT_EQ(port.state, IBV_PORT_ACTIVE);
  EXPECT_EQ(port.active_mtu, IBV_MTU_1024);
  EXPECT_EQ(port.link_layer, IBV_LINK_LAYER_ETHERNET);
  EXPECT_EQ(port.active_width, 8);
  EXPECT_EQ(port.active_speed, 32);
  EXPECT_EQ(port.max_msg_sz, 18u);
  EXPECT_EQ(port.flags & IBV_QPF_GRH_REQUIRED, IBV_QPF_GRH_REQUIRED);
  ASSERT_EQ(verbs->QueryPort(context, 2, &port), 0);
  EXPECT_EQ(port.state, IBV_PORT_DOWN);
  EXPECT_EQ(port.link_layer, IBV_LINK_LAYER_INFINIBAND);
  EXPECT_EQ(port.lid, 99);
  EXPECT_EQ(verbs->QueryPort(context, 0, &port), EINVAL);
  EXPECT_EQ(verbs->QueryPort(context, 3, &port), EINVAL);

  ibv_gid_entry gids[5];
  ASSERT_EQ(verbs->QueryGidTable(context, gids, 5), 4);
  EXPECT_EQ(gids[3].gid_index, 3u);
  EXPECT_EQ(gids[3].port_num, 1u);
  EXPECT_EQ(gids[3].gid_type, uint32_t{IBV_GID_TYPE_ROCE_V2});
  const ibv_gid expected = GidOfIpv4({192, 168, 0, 7});
  EXPECT_EQ(memcmp(gids[3].gid.raw, expected.raw, 16), 0);
  EXPECT_EQ(verbs->QueryGidTable(context, gids, 3), -EINVAL);
  EXPECT_EQ(verbs->CloseDevice(context), 0);
}

TEST(EmulatedFabric, CountsWhatIsLeft) {
  TestNet net;
  EXPECT_EQ(net.device_a.live_objects(), LiveObjects{});
  {
    TestEnd a(net.fabric.VerbsOf("a"), {.channel = true});
    const LiveObjects all = {1, 1, 1, 1, 1, 1};
    EXPECT_EQ(net.device_a.live_objects(), all);
    EXPECT_EQ(net.device_b.live_objects(), LiveObjects{});
  }
  EXPECT_EQ(net.device_a.live_objects(), LiveObjects{});
}

TEST(EmulatedFabric, WhatIsInUseIsBusy) {
  TestNet net;
  TestEnd a(net.fabric.VerbsOf("a"), {.channel = true});
  EXPECT_EQ(a.verbs->CloseDevice(a.context), EBUSY);
  EXPECT_EQ(a.verbs->DeallocPd(a.pd), EBUSY);
  EXPECT_EQ(a.verbs->DestroyCq(a.cq), EBUSY);
  EXPECT_EQ(a.verbs->DestroyCompChannel(a.channel), EBUSY);

  ASSERT_EQ(a.verbs->DestroyQp(std::exchange(a.qp, nullptr)), 0);
  EXPECT_EQ(a.verbs->DeallocPd(a.pd), EBUSY) << "there is still a region";
  ASSERT_EQ(a.verbs->DeregMr(std::exchange(a.mr, nullptr)), 0);
  EXPECT_EQ(a.verbs->DeallocPd(std::exchange(a.pd, nullptr)), 0);
  EXPECT_EQ(a.verbs->CloseDevice(a.context), EBUSY) << "there is still a CQ";
}

TEST(EmulatedFabric, VerbsOutliveTheFabric) {
  std::shared_ptr<Verbs> verbs;
  {
    TestNet net(WireMode::kThreaded);
    verbs = net.fabric.VerbsOf("a");
  }
  TestEnd a(verbs);
  a.Fill(9);
  ASSERT_EQ(a.Connect(a), 0);
  ASSERT_EQ(a.PostWrite(1, a), 0);
  const MonotonicTime deadline = RealClock().Now() + std::chrono::seconds(30);
  ibv_wc wc = {};
  while (ibv_poll_cq(a.cq, 1, &wc) == 0) {
    ASSERT_LT(RealClock().Now(), deadline);
  }
  EXPECT_EQ(wc.status, IBV_WC_SUCCESS);
}

}  // namespace
}  // namespace te::rdma::emulated
