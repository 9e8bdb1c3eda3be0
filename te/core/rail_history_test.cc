#include "te/core/rail_history.h"

#include <cstdint>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/incarnation.h"

namespace te {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

const Incarnation kPeer({1});
const Incarnation kSuccessor({2});

TEST(RailHistoryTest, TellsWhichTransportsHaveCarried) {
  RailHistory history(7);
  EXPECT_EQ(history.rail_id(), 7u);
  EXPECT_THAT(history.Transports(kPeer), IsEmpty());
  history.Add(kPeer, "tcp");
  history.Add(kPeer, "shm");
  history.Add(kPeer, "tcp");
  EXPECT_THAT(history.Transports(kPeer), ElementsAre("shm", "tcp"));
  history.Remove(kPeer, "shm");
  history.Remove(kPeer, "rdma");
  EXPECT_THAT(history.Transports(kPeer), ElementsAre("tcp"));
}

TEST(RailHistoryTest, KeepsIncarnationsApart) {
  RailHistory history(7);
  history.Add(kPeer, "tcp");
  history.Add(kSuccessor, "rdma");
  EXPECT_THAT(history.Transports(kSuccessor), ElementsAre("rdma"));
  history.Remove(kSuccessor, "tcp");
  EXPECT_THAT(history.Transports(kPeer), ElementsAre("tcp"));
}

TEST(RailHistoryTest, ForgetsTheOldest) {
  RailHistory history(7);
  history.Add(kPeer, "tcp");
  for (uint8_t i = 1; i < RailHistory::kMaxRails; ++i) {
    history.Add(Incarnation({9, i}), "tcp");
  }
  EXPECT_THAT(history.Transports(kPeer), ElementsAre("tcp"));
  history.Add(kSuccessor, "tcp");
  EXPECT_THAT(history.Transports(kPeer), IsEmpty());
  EXPECT_THAT(history.Transports(kSuccessor), ElementsAre("tcp"));
}

}  // namespace
}  // namespace te
