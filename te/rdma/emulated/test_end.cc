#include "te/rdma/emulated/test_end.h"

#include <fcntl.h>
#include <poll.h>
#include <sched.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <utility>

#include "glog/logging.h"
#include "gtest/gtest.h"

namespace te::rdma::emulated {
namespace {

FabricOptions OptionsOf(WireMode mode, uint64_t seed, const Clock& fake) {
  FabricOptions options;
  options.mode = mode;
  options.seed = seed;
  if (mode != WireMode::kThreaded) options.clock = &fake;
  return options;
}

}  // namespace

TestEnd::TestEnd(std::shared_ptr<Verbs> host, TestEndOptions options)
    : verbs(std::move(host)), memory(options.bytes) {
  int devices = 0;
  ibv_device** const list = verbs->GetDeviceList(&devices);
  CHECK_GE(devices, 1);
  context = verbs->OpenDevice(list[0]);
  CHECK(context != nullptr);
  verbs->FreeDeviceList(list);
  CHECK_EQ(verbs->QueryPort(context, 1, &port), 0);
  ibv_gid_entry gids[8];
  const ssize_t gid_count = verbs->QueryGidTable(context, gids, 8);
  CHECK_GE(gid_count, 1);
  gid = gids[gid_count - 1].gid;
  gid_index = static_cast<uint8_t>(gids[gid_count - 1].gid_index);
  pd = verbs->AllocPd(context);
  CHECK(pd != nullptr);
  mr = verbs->RegMr(pd, memory.data(), memory.size(), kFullAccess);
  CHECK(mr != nullptr);
  if (options.channel) {
    channel = verbs->CreateCompChannel(context);
    CHECK(channel != nullptr);
  }
  cq = verbs->CreateCq(context, options.cqe, this, channel, 0);
  CHECK(cq != nullptr);
  qp = MakeQp(options);
  CHECK(qp != nullptr);
  psn = qp->qp_num ^ 0x5a5a;
}

TestEnd::~TestEnd() {
  if (qp != nullptr) CHECK_EQ(verbs->DestroyQp(qp), 0);
  if (cq != nullptr) CHECK_EQ(verbs->DestroyCq(cq), 0);
  if (channel != nullptr) CHECK_EQ(verbs->DestroyCompChannel(channel), 0);
  if (mr != nullptr) CHECK_EQ(verbs->DeregMr(mr), 0);
  if (pd != nullptr) CHECK_EQ(verbs->DeallocPd(pd), 0);
  if (context != nullptr) CHECK_EQ(verbs->CloseDevice(context), 0);
}

ibv_qp* TestEnd::MakeQp(const TestEndOptions& options) {
  ibv_qp_init_attr init = {};
  init.send_cq = cq;
  init.recv_cq = cq;
  init.qp_type = IBV_QPT_RC;
  init.sq_sig_all = options.signal_all ? 1 : 0;
  init.cap.max_send_wr = options.max_send_wr;
  init.cap.max_recv_wr = options.max_recv_wr;
  init.cap.max_send_sge = options.max_sge;
  init.cap.max_recv_sge = options.max_sge;
  init.cap.max_inline_data = options.max_inline_data;
  return verbs->CreateQp(pd, &init);
}

ibv_qp_attr TestEnd::Init() const {
  ibv_qp_attr attr = {};
  attr.qp_state = IBV_QPS_INIT;
  attr.port_num = 1;
  attr.qp_access_flags = IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_WRITE;
  return attr;
}

ibv_qp_attr TestEnd::Rtr(const TestEnd& peer) const {
  ibv_qp_attr attr = {};
  attr.qp_state = IBV_QPS_RTR;
  attr.path_mtu = std::min(port.active_mtu, peer.port.active_mtu);
  attr.dest_qp_num = peer.qp->qp_num;
  attr.rq_psn = peer.psn;
  attr.max_dest_rd_atomic = 16;
  attr.min_rnr_timer = 12;
  attr.ah_attr.port_num = 1;
  if (port.link_layer == IBV_LINK_LAYER_ETHERNET) {
    attr.ah_attr.is_global = 1;
    attr.ah_attr.grh.dgid = peer.gid;
    attr.ah_attr.grh.sgid_index = gid_index;
  } else {
    attr.ah_attr.dlid = peer.port.lid;
  }
  return attr;
}

ibv_qp_attr TestEnd::Rts() const {
  ibv_qp_attr attr = {};
  attr.qp_state = IBV_QPS_RTS;
  attr.sq_psn = psn;
  attr.max_rd_atomic = 16;
  attr.timeout = timeout;
  attr.retry_cnt = retry_cnt;
  attr.rnr_retry = rnr_retry;
  return attr;
}

int TestEnd::Connect(const TestEnd& peer) {
  ibv_qp_attr attr = Init();
  int error = verbs->ModifyQp(qp, &attr, kInitMask);
  if (error != 0) return error;
  attr = Rtr(peer);
  error = verbs->ModifyQp(qp, &attr, kRtrMask);
  if (error != 0) return error;
  attr = Rts();
  return verbs->ModifyQp(qp, &attr, kRtsMask);
}

int TestEnd::ToError() {
  ibv_qp_attr attr = {};
  attr.qp_state = IBV_QPS_ERR;
  return verbs->ModifyQp(qp, &attr, IBV_QP_STATE);
}

ibv_qp_state TestEnd::State() {
  ibv_qp_attr attr;
  ibv_qp_init_attr init;
  CHECK_EQ(verbs->QueryQp(qp, &attr, IBV_QP_STATE, &init), 0);
  return attr.qp_state;
}

ibv_sge TestEnd::Sge(size_t offset, size_t length) const {
  ibv_sge sge;
  sge.addr = reinterpret_cast<uint64_t>(memory.data()) + offset;
  sge.length = static_cast<uint32_t>(length);
  sge.lkey = mr->lkey;
  return sge;
}

ibv_send_wr TestEnd::Rdma(ibv_wr_opcode opcode, uint64_t wr_id,
                          const TestEnd& peer, ibv_sge* sge,
                          size_t offset) const {
  ibv_send_wr wr = {};
  wr.wr_id = wr_id;
  wr.sg_list = sge;
  wr.num_sge = 1;
  wr.opcode = opcode;
  wr.send_flags = IBV_SEND_SIGNALED;
  wr.wr.rdma.remote_addr =
      reinterpret_cast<uint64_t>(peer.memory.data()) + offset;
  wr.wr.rdma.rkey = peer.mr->rkey;
  return wr;
}

int TestEnd::Post(ibv_send_wr wr) {
  ibv_send_wr* bad = nullptr;
  const int error = ibv_post_send(qp, &wr, &bad);
  CHECK_EQ(error != 0, bad == &wr);
  return error;
}

int TestEnd::PostWrite(uint64_t wr_id, const TestEnd& peer, size_t offset,
                       size_t length, unsigned int flags) {
  ibv_sge sge = Sge(offset, length);
  ibv_send_wr wr = Rdma(IBV_WR_RDMA_WRITE, wr_id, peer, &sge, offset);
  wr.send_flags = flags;
  return Post(wr);
}

int TestEnd::PostRead(uint64_t wr_id, const TestEnd& peer, size_t offset,
                      size_t length, unsigned int flags) {
  ibv_sge sge = Sge(offset, length);
  ibv_send_wr wr = Rdma(IBV_WR_RDMA_READ, wr_id, peer, &sge, offset);
  wr.send_flags = flags;
  return Post(wr);
}

int TestEnd::PostSend(uint64_t wr_id, size_t offset, size_t length,
                      unsigned int flags) {
  ibv_sge sge = Sge(offset, length);
  ibv_send_wr wr = {};
  wr.wr_id = wr_id;
  wr.sg_list = &sge;
  wr.num_sge = 1;
  wr.opcode = IBV_WR_SEND;
  wr.send_flags = flags;
  return Post(wr);
}

int TestEnd::PostRecv(uint64_t wr_id, size_t offset, size_t length) {
  ibv_sge sge = Sge(offset, length);
  ibv_recv_wr wr = {};
  wr.wr_id = wr_id;
  wr.sg_list = &sge;
  wr.num_sge = 1;
  ibv_recv_wr* bad = nullptr;
  const int error = ibv_post_recv(qp, &wr, &bad);
  CHECK(error == 0 || bad == &wr);
  return error;
}

std::vector<ibv_wc> TestEnd::Poll() {
  std::vector<ibv_wc> completions;
  ibv_wc wc;
  while (ibv_poll_cq(cq, 1, &wc) == 1) completions.push_back(wc);
  return completions;
}

void TestEnd::Fill(uint8_t salt) {
  for (size_t i = 0; i < memory.size(); ++i) {
    memory[i] = static_cast<std::byte>(i * 7 + salt);
  }
}

TestNet::TestNet(WireMode mode, uint64_t seed)
    : TestNet(OptionsOf(mode, seed, clock), RoceDevice("mlx5_0", {10, 0, 0, 1}),
              RoceDevice("mlx5_0", {10, 0, 0, 2})) {}

TestNet::TestNet(FabricOptions fabric_options, EmulatedDeviceSpec a,
                 EmulatedDeviceSpec b)
    : options(fabric_options.mode == WireMode::kThreaded
                  ? fabric_options
                  : FabricOptions{&clock, fabric_options.mode,
                                  fabric_options.seed, fabric_options.copy}),
      fabric(options),
      device_a(fabric.AddDevice("a", std::move(a))),
      device_b(fabric.AddDevice("b", std::move(b))) {}

ibv_wc TestNet::Await(TestEnd& end) {
  ibv_wc wc = {};
  const MonotonicTime deadline = RealClock().Now() + std::chrono::seconds(30);
  while (ibv_poll_cq(end.cq, 1, &wc) == 0) {
    if (options.mode == WireMode::kThreaded) {
      sched_yield();
      if (RealClock().Now() < deadline) continue;
      ADD_FAILURE() << "no completion within the deadline";
      return wc;
    }
    const MonotonicTime due = fabric.next_due();
    if (due == kNoDeadline) {
      ADD_FAILURE() << "there will be no completion";
      return wc;
    }
    Advance(TimeUntil(due, clock.Now()));
  }
  return wc;
}

std::vector<ibv_wc> TestNet::Await(TestEnd& end, size_t count) {
  std::vector<ibv_wc> completions;
  while (completions.size() < count && !testing::Test::HasFailure()) {
    completions.push_back(Await(end));
  }
  return completions;
}

int TestNet::Advance(Duration by) {
  clock.Advance(by);
  return fabric.Run();
}

int NextEvent(TestEnd& end) {
  const int flags = fcntl(end.context->async_fd, F_GETFL);
  CHECK_EQ(fcntl(end.context->async_fd, F_SETFL, flags | O_NONBLOCK), 0);
  ibv_async_event event;
  if (end.verbs->GetAsyncEvent(end.context, &event) != 0) {
    CHECK_EQ(errno, EAGAIN);
    return -1;
  }
  end.verbs->AckAsyncEvent(&event);
  return event.event_type;
}

}  // namespace te::rdma::emulated
