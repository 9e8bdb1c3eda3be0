// Completions: which there are, in which order, and what room they need.

#include <fcntl.h>
#include <infiniband/verbs.h>
#include <poll.h>

#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/rdma/emulated/emulated_fabric.h"
#include "te/rdma/emulated/test_end.h"

namespace te::rdma::emulated {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;
using testing::Pair;

using Outcome = std::pair<uint64_t, ibv_wc_status>;

std::vector<Outcome> Outcomes(const std::vector<ibv_wc>& completions) {
  std::vector<Outcome> outcomes;
  for (const ibv_wc& wc : completions) {
    outcomes.emplace_back(wc.wr_id, wc.status);
  }
  return outcomes;
}

class EmulatedCompletion : public testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(a_.Connect(b_), 0);
    ASSERT_EQ(b_.Connect(a_), 0);
  }

  TestNet net_;
  TestEnd a_{net_.fabric.VerbsOf("a"),
             {.cqe = 8, .max_send_wr = 4, .max_recv_wr = 4, .channel = true}};
  TestEnd b_{net_.fabric.VerbsOf("b")};
};

TEST_F(EmulatedCompletion, UnsignalledSuccessesAreSilent) {
  ASSERT_EQ(a_.PostWrite(1, b_, 0, 8, 0), 0);
  ASSERT_EQ(a_.PostWrite(2, b_), 0);
  ASSERT_EQ(a_.PostWrite(3, b_, 0, 8, 0), 0);
  net_.Advance(Duration(1));
  EXPECT_THAT(Outcomes(a_.Poll()), ElementsAre(Pair(2, IBV_WC_SUCCESS)));
}

TEST_F(EmulatedCompletion, SignalAllIsForAll) {
  ibv_qp* qp = a_.MakeQp({.signal_all = true});
  ASSERT_NE(qp, nullptr);
  std::swap(a_.qp, qp);
  ASSERT_EQ(a_.verbs->DestroyQp(qp), 0);
  ASSERT_EQ(a_.Connect(a_), 0);
  ASSERT_EQ(a_.PostWrite(1, a_, 0, 8, 0), 0);
  EXPECT_EQ(net_.Await(a_).wr_id, 1u);
}

TEST_F(EmulatedCompletion, ErrorsAndFlushesAreReportedForAll) {
  ASSERT_EQ(a_.PostRecv(10), 0);
  ASSERT_EQ(a_.PostRecv(11), 0);
  ASSERT_EQ(a_.PostWrite(1, b_, 0, 8, 0), 0);
  // Out of bounds.
  ASSERT_EQ(a_.PostWrite(2, b_, 4095, 8, 0), 0);
  ASSERT_EQ(a_.PostWrite(3, b_, 0, 8, 0), 0);
  ASSERT_EQ(a_.PostWrite(4, b_, 0, 8), 0);
  net_.Advance(Duration(1));
  EXPECT_THAT(
      Outcomes(a_.Poll()),
      ElementsAre(Pair(2, IBV_WC_LOC_PROT_ERR), Pair(3, IBV_WC_WR_FLUSH_ERR),
                  Pair(4, IBV_WC_WR_FLUSH_ERR), Pair(10, IBV_WC_WR_FLUSH_ERR),
                  Pair(11, IBV_WC_WR_FLUSH_ERR)));
  // What is posted in the error state is flushed as well.
  ASSERT_EQ(a_.PostWrite(5, b_, 0, 8, 0), 0);
  ASSERT_EQ(a_.PostRecv(12), 0);
  EXPECT_THAT(Outcomes(a_.Poll()), ElementsAre(Pair(5, IBV_WC_WR_FLUSH_ERR),
                                               Pair(12, IBV_WC_WR_FLUSH_ERR)));
}

TEST_F(EmulatedCompletion, MovingToErrorFlushes) {
  b_.Fill(3);
  const std::vector<std::byte> before = b_.memory;
  ASSERT_EQ(a_.PostRecv(10), 0);
  ASSERT_EQ(a_.PostWrite(1, b_), 0);
  ASSERT_EQ(a_.PostRead(2, b_), 0);
  ASSERT_EQ(a_.ToError(), 0);
  EXPECT_THAT(Outcomes(a_.Poll()), ElementsAre(Pair(1, IBV_WC_WR_FLUSH_ERR),
                                               Pair(2, IBV_WC_WR_FLUSH_ERR),
                                               Pair(10, IBV_WC_WR_FLUSH_ERR)));
  net_.Advance(std::chrono::hours(1));
  EXPECT_THAT(a_.Poll(), IsEmpty());
  EXPECT_EQ(b_.memory, before) << "what was flushed must not happen later";
}

TEST_F(EmulatedCompletion, ErrorCompletionsFillOnlyWhatTheManSays) {
  ASSERT_EQ(a_.PostWrite(2, b_, 4095, 8, 0), 0);
  const ibv_wc wc = net_.Await(a_);
  EXPECT_EQ(wc.qp_num, a_.qp->qp_num);
  EXPECT_NE(wc.opcode, IBV_WC_RDMA_WRITE);
  EXPECT_NE(wc.byte_len, 8u);
}

TEST_F(EmulatedCompletion, ASlotIsFreeWhenACompletionAtOrAfterItIsPolled) {
  for (uint64_t i = 1; i <= 3; ++i) {
    ASSERT_EQ(a_.PostWrite(i, b_, 0, 8, 0), 0);
  }
  ASSERT_EQ(a_.PostWrite(4, b_), 0);
  EXPECT_EQ(a_.PostWrite(5, b_), ENOMEM);
  net_.Advance(Duration(1));
  EXPECT_EQ(a_.PostWrite(5, b_), ENOMEM) << "carried out, but not polled";
  ASSERT_EQ(net_.Await(a_).wr_id, 4u);
  for (uint64_t i = 5; i <= 8; ++i) {
    ASSERT_EQ(a_.PostWrite(i, b_, 0, 8, 0), 0);
  }
  net_.Advance(Duration(1));
  EXPECT_THAT(a_.Poll(), IsEmpty());
  EXPECT_EQ(a_.PostWrite(9, b_), ENOMEM) << "nothing tells of the last four";
}

TEST_F(EmulatedCompletion, BadWrIsTheFirstThatDoesNotFit) {
  ibv_sge sge = a_.Sge(0, 8);
  std::vector<ibv_send_wr> list(6);
  for (size_t i = 0; i < list.size(); ++i) {
    list[i] = a_.Rdma(IBV_WR_RDMA_WRITE, i, b_, &sge, 0);
    if (i > 0) list[i - 1].next = &list[i];
  }
  ibv_send_wr* bad = nullptr;
  EXPECT_EQ(ibv_post_send(a_.qp, list.data(), &bad), ENOMEM);
  EXPECT_EQ(bad, &list[4]);
  EXPECT_EQ(net_.Await(a_, 4).back().wr_id, 3u);
  net_.Advance(Duration(1));
  EXPECT_THAT(a_.Poll(), IsEmpty());
}

TEST_F(EmulatedCompletion, ReceivesNeedSlotsToo) {
  for (uint64_t i = 1; i <= 4; ++i) ASSERT_EQ(a_.PostRecv(i), 0);
  EXPECT_EQ(a_.PostRecv(5), ENOMEM);
  ASSERT_EQ(b_.PostSend(1), 0);
  net_.Advance(Duration(1));
  EXPECT_EQ(a_.PostRecv(5), ENOMEM);
  ASSERT_EQ(net_.Await(a_).wr_id, 1u);
  EXPECT_EQ(a_.PostRecv(5), 0);
}

TEST_F(EmulatedCompletion, RequestsThatTheQueuePairCannotTake) {
  ibv_sge sges[5] = {a_.Sge(0, 8), a_.Sge(0, 8), a_.Sge(0, 8), a_.Sge(0, 8),
                     a_.Sge(0, 8)};
  ibv_send_wr wr = a_.Rdma(IBV_WR_RDMA_WRITE, 1, b_, sges, 0);
  wr.num_sge = 5;
  EXPECT_EQ(a_.Post(wr), EINVAL);
  wr.num_sge = 1;
  wr.opcode = IBV_WR_ATOMIC_CMP_AND_SWP;
  EXPECT_EQ(a_.Post(wr), EINVAL);
  wr.opcode = IBV_WR_RDMA_WRITE;
  wr.send_flags |= IBV_SEND_INLINE;
  sges[0].length = 65;
  EXPECT_EQ(a_.Post(wr), EINVAL);
  sges[0].length = 64;
  wr.opcode = IBV_WR_RDMA_READ;
  EXPECT_EQ(a_.Post(wr), EINVAL);
  wr.opcode = IBV_WR_RDMA_WRITE;
  EXPECT_EQ(a_.Post(wr), 0);
  EXPECT_EQ(net_.Await(a_).status, IBV_WC_SUCCESS);
}

TEST_F(EmulatedCompletion, PollReturnsAsManyAsAskedFor) {
  for (uint64_t i = 1; i <= 3; ++i) ASSERT_EQ(a_.PostWrite(i, b_), 0);
  net_.Advance(Duration(1));
  ibv_wc wc[2];
  EXPECT_EQ(ibv_poll_cq(a_.cq, 0, wc), 0);
  EXPECT_EQ(ibv_poll_cq(a_.cq, 2, wc), 2);
  EXPECT_EQ(wc[1].wr_id, 2u);
  EXPECT_EQ(ibv_poll_cq(a_.cq, 2, wc), 1);
  EXPECT_EQ(wc[0].wr_id, 3u);
}

TEST_F(EmulatedCompletion, OverrunBreaksTheQueue) {
  // 8 entries, of which the flushes of two queue pairs take more.
  ibv_qp* other = a_.MakeQp({.max_recv_wr = 16});
  std::swap(a_.qp, other);
  ASSERT_EQ(a_.Connect(a_), 0);
  for (uint64_t i = 0; i < 9; ++i) ASSERT_EQ(a_.PostRecv(100 + i), 0);
  ASSERT_EQ(NextEvent(a_), -1);
  ASSERT_EQ(a_.ToError(), 0);
  EXPECT_EQ(NextEvent(a_), IBV_EVENT_CQ_ERR);
  EXPECT_EQ(NextEvent(a_), -1);
  EXPECT_EQ(a_.Poll().size(), 8u);
  // There is room again, but the queue is in error.
  std::swap(a_.qp, other);
  ASSERT_EQ(a_.PostWrite(1, b_), 0);
  net_.Advance(Duration(1));
  EXPECT_THAT(a_.Poll(), IsEmpty());
  // Its queue pairs cannot report, and fail.
  EXPECT_EQ(a_.State(), IBV_QPS_ERR);
  EXPECT_EQ(NextEvent(a_), IBV_EVENT_QP_FATAL);
  ASSERT_EQ(a_.verbs->DestroyQp(other), 0);
}

TEST_F(EmulatedCompletion, DestroyedQueuePairsLeaveNoCompletions) {
  ibv_qp* other = a_.MakeQp({});
  ASSERT_EQ(a_.PostWrite(1, b_), 0);
  net_.Advance(Duration(1));
  std::swap(a_.qp, other);
  ASSERT_EQ(a_.ToError(), 0);
  ASSERT_EQ(a_.PostRecv(2), 0);
  ASSERT_EQ(a_.verbs->DestroyQp(std::exchange(a_.qp, other)), 0);
  EXPECT_THAT(Outcomes(a_.Poll()), ElementsAre(Pair(1, IBV_WC_SUCCESS)));
}

TEST_F(EmulatedCompletion, ResetForgetsCompletionsAndFreesSlots) {
  for (uint64_t i = 1; i <= 4; ++i) {
    ASSERT_EQ(a_.PostWrite(i, b_, 0, 8, i % 2 == 0 ? IBV_SEND_SIGNALED : 0), 0);
  }
  net_.Advance(Duration(1));
  ibv_qp_attr attr = {};
  attr.qp_state = IBV_QPS_RESET;
  ASSERT_EQ(a_.verbs->ModifyQp(a_.qp, &attr, IBV_QP_STATE), 0);
  EXPECT_THAT(a_.Poll(), IsEmpty());
  ASSERT_EQ(a_.Connect(b_), 0);
  for (uint64_t i = 5; i <= 8; ++i) ASSERT_EQ(a_.PostWrite(i, b_), 0);
  EXPECT_EQ(net_.Await(a_, 4).back().wr_id, 8u);
}

class EmulatedChannel : public EmulatedCompletion {
 protected:
  bool Readable() const {
    pollfd fd = {.fd = a_.channel->fd, .events = POLLIN, .revents = 0};
    return poll(&fd, 1, 0) == 1;
  }
  void SetUp() override {
    EmulatedCompletion::SetUp();
    const int flags = fcntl(a_.channel->fd, F_GETFL);
    ASSERT_EQ(fcntl(a_.channel->fd, F_SETFL, flags | O_NONBLOCK), 0);
  }
  // Fetches an event without acknowledging it.
  bool Get() {
    ibv_cq* cq = nullptr;
    void* context = nullptr;
    if (a_.verbs->GetCqEvent(a_.channel, &cq, &context) != 0) return false;
    EXPECT_EQ(cq, a_.cq);
    EXPECT_EQ(context, &a_);
    return true;
  }
};

TEST_F(EmulatedChannel, OneEventForTheNextCompletionAfterArming) {
  ASSERT_EQ(a_.PostWrite(1, b_), 0);
  net_.Advance(Duration(1));
  EXPECT_FALSE(Readable()) << "it was not armed";
  ASSERT_EQ(ibv_req_notify_cq(a_.cq, 0), 0);
  EXPECT_FALSE(Readable()) << "what is there already does not count";
  EXPECT_FALSE(Get());
  EXPECT_EQ(errno, EAGAIN);

  ASSERT_EQ(a_.PostWrite(2, b_), 0);
  ASSERT_EQ(a_.PostWrite(3, b_), 0);
  net_.Advance(Duration(1));
  EXPECT_TRUE(Readable());
  EXPECT_TRUE(Get());
  EXPECT_FALSE(Readable()) << "one event until it is armed again";
  a_.verbs->AckCqEvents(a_.cq, 1);
}

TEST_F(EmulatedChannel, ArmingForSolicitedCompletions) {
  ASSERT_EQ(a_.PostRecv(1), 0);
  ASSERT_EQ(a_.PostRecv(2), 0);
  ASSERT_EQ(ibv_req_notify_cq(a_.cq, 1), 0);
  ASSERT_EQ(b_.PostSend(3), 0);
  net_.Advance(Duration(1));
  EXPECT_FALSE(Readable());
  ASSERT_EQ(b_.PostSend(4, 0, 8, IBV_SEND_SIGNALED | IBV_SEND_SOLICITED), 0);
  net_.Advance(Duration(1));
  EXPECT_TRUE(Get());
  a_.verbs->AckCqEvents(a_.cq, 1);

  ASSERT_EQ(ibv_req_notify_cq(a_.cq, 1), 0);
  ASSERT_EQ(a_.PostWrite(5, b_, 4095, 8), 0);
  net_.Advance(Duration(1));
  EXPECT_TRUE(Get()) << "an error is always solicited";
  a_.verbs->AckCqEvents(a_.cq, 1);
}

TEST_F(EmulatedChannel, TheWiderArmingWins) {
  ASSERT_EQ(ibv_req_notify_cq(a_.cq, 0), 0);
  ASSERT_EQ(ibv_req_notify_cq(a_.cq, 1), 0);
  ASSERT_EQ(a_.PostWrite(1, b_), 0);
  net_.Advance(Duration(1));
  EXPECT_TRUE(Get());
  a_.verbs->AckCqEvents(a_.cq, 1);
}

TEST_F(EmulatedChannel, EventsMustBeAcknowledgedBeforeTheQueueGoes) {
  ASSERT_EQ(ibv_req_notify_cq(a_.cq, 0), 0);
  ASSERT_EQ(a_.PostWrite(1, b_), 0);
  net_.Advance(Duration(1));
  ASSERT_TRUE(Get());
  ASSERT_EQ(ibv_req_notify_cq(a_.cq, 0), 0);
  ASSERT_EQ(a_.PostWrite(2, b_), 0);
  net_.Advance(Duration(1));  // an event that nobody fetches
  ASSERT_EQ(a_.verbs->DestroyQp(std::exchange(a_.qp, nullptr)), 0);
  EXPECT_EQ(a_.verbs->DestroyCq(a_.cq), EBUSY);
  a_.verbs->AckCqEvents(a_.cq, 1);
  EXPECT_EQ(a_.verbs->DestroyCq(std::exchange(a_.cq, nullptr)), 0);
  EXPECT_FALSE(Get()) << "the event of a queue that is gone";
}

}  // namespace
}  // namespace te::rdma::emulated
