#ifndef TE_RDMA_EMULATED_TEST_END_H_
#define TE_RDMA_EMULATED_TEST_END_H_

#include <infiniband/verbs.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "te/base/clock.h"
#include "te/base/fake_clock.h"
#include "te/rdma/emulated/emulated_device.h"
#include "te/rdma/emulated/emulated_device_spec.h"
#include "te/rdma/emulated/emulated_fabric.h"
#include "te/rdma/emulated/fabric_options.h"
#include "te/rdma/verbs/verbs.h"

namespace te::rdma::emulated {

struct TestEndOptions {
  int cqe = 64;
  uint32_t max_send_wr = 16;
  uint32_t max_recv_wr = 16;
  uint32_t max_sge = 4;
  uint32_t max_inline_data = 64;
  bool signal_all = false;
  bool channel = false;
  size_t bytes = 4096;
};

// One end of a connection, for the tests of this package: the first device of
// a host, opened, with everything that a queue pair needs and some memory, all
// made with the verbs under test. Destroys what is left. Thread-compatible.
class TestEnd {
 public:
  static constexpr int kFullAccess =
      IBV_ACCESS_LOCAL_WRITE | IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_WRITE;

  explicit TestEnd(std::shared_ptr<Verbs> verbs, TestEndOptions options = {});
  ~TestEnd();
  TestEnd(const TestEnd&) = delete;
  TestEnd& operator=(const TestEnd&) = delete;

  // A queue pair like qp, which the caller destroys.
  ibv_qp* MakeQp(const TestEndOptions& options);

  // The attributes that take a queue pair to a state, and their mask.
  static constexpr int kInitMask =
      IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS;
  static constexpr int kRtrMask =
      IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN |
      IBV_QP_RQ_PSN | IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER;
  static constexpr int kRtsMask = IBV_QP_STATE | IBV_QP_TIMEOUT |
                                  IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY |
                                  IBV_QP_SQ_PSN | IBV_QP_MAX_QP_RD_ATOMIC;
  ibv_qp_attr Init() const;
  ibv_qp_attr Rtr(const TestEnd& peer) const;
  ibv_qp_attr Rts() const;
  // RESET to RTS; 0 or the errno of the first step that failed.
  int Connect(const TestEnd& peer);
  int ToError();
  ibv_qp_state State();

  ibv_sge Sge(size_t offset, size_t length) const;
  // Between the same offsets of this end's memory and of the peer's.
  ibv_send_wr Rdma(ibv_wr_opcode opcode, uint64_t wr_id, const TestEnd& peer,
                   ibv_sge* sge, size_t offset) const;
  int Post(ibv_send_wr wr);
  int PostWrite(uint64_t wr_id, const TestEnd& peer, size_t offset = 0,
                size_t length = 8, unsigned int flags = IBV_SEND_SIGNALED);
  int PostRead(uint64_t wr_id, const TestEnd& peer, size_t offset = 0,
               size_t length = 8, unsigned int flags = IBV_SEND_SIGNALED);
  int PostSend(uint64_t wr_id, size_t offset = 0, size_t length = 8,
               unsigned int flags = IBV_SEND_SIGNALED);
  int PostRecv(uint64_t wr_id, size_t offset = 0, size_t length = 64);
  // What is in the completion queue now.
  std::vector<ibv_wc> Poll();

  void Fill(uint8_t salt);

  const std::shared_ptr<Verbs> verbs;
  std::vector<std::byte> memory;
  ibv_context* context = nullptr;
  ibv_pd* pd = nullptr;
  ibv_mr* mr = nullptr;
  ibv_comp_channel* channel = nullptr;
  ibv_cq* cq = nullptr;
  ibv_qp* qp = nullptr;
  ibv_port_attr port = {};
  ibv_gid gid = {};  // the last of the table
  uint8_t gid_index = 0;
  uint32_t psn = 0;  // where its send queue starts
  uint8_t timeout = 14;
  uint8_t retry_cnt = 3;
  uint8_t rnr_retry = 7;
};

// Two hosts with a device each, and a clock that tests turn.
struct TestNet {
  explicit TestNet(WireMode mode = WireMode::kStepped, uint64_t seed = 1);
  TestNet(FabricOptions options, EmulatedDeviceSpec a, EmulatedDeviceSpec b);

  // Waits for the next completion at `end`: lets the fake clock run, or the
  // thread of the fabric. Fails the test if there is none in 30 seconds, or
  // ever.
  ibv_wc Await(TestEnd& end);
  // As many as `count`.
  std::vector<ibv_wc> Await(TestEnd& end, size_t count);
  // Turns the clock by `by` and does what is due.
  int Advance(Duration by);

  FakeClock clock;
  const FabricOptions options;
  EmulatedFabric fabric;
  EmulatedDevice& device_a;
  EmulatedDevice& device_b;
};

// The next event of the device, which is acknowledged, or -1 if there is none.
// Does not wait.
int NextEvent(TestEnd& end);

}  // namespace te::rdma::emulated

#endif  // TE_RDMA_EMULATED_TEST_END_H_
