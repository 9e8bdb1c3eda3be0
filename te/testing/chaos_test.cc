#include "te/testing/chaos.h"

#include <chrono>
#include <cstdint>
#include <random>

#include "glog/logging.h"
#include "gtest/gtest.h"
#include "te/base/status_matchers.h"
#include "te/testing/chaos_cluster.h"
#include "te/testing/rdma_chaos_cluster.h"
#include "te/testing/shaped_tcp_cluster.h"

namespace te {
namespace {

void Run(ChaosCluster& cluster, uint32_t seed, bool gentle) {
  Chaos chaos(
      cluster,
      {.seed = seed, .duration = std::chrono::seconds(2), .gentle = gentle});
  TE_EXPECT_OK(chaos.Run());
  LOG(INFO) << chaos.Summary();
}

void RunTcp(uint32_t seed, bool gentle = false) {
  ShapedTcpCluster cluster(/*nodes=*/3, /*rails=*/4, seed, gentle);
  Run(cluster, seed, gentle);
}
void RunRdma(uint32_t seed, bool gentle = false) {
  RdmaChaosCluster cluster(/*nodes=*/3, /*nics=*/4, seed, gentle);
  Run(cluster, seed, gentle);
}

TEST(ChaosTest, TcpSeed1) { RunTcp(1); }
TEST(ChaosTest, TcpARandomSeed) { RunTcp(std::random_device()()); }
TEST(ChaosTest, RdmaSeed1) { RunRdma(1); }
TEST(ChaosTest, RdmaARandomSeed) { RunRdma(std::random_device()()); }

// As long as one rail works, nothing fails.
TEST(ChaosTest, GentleTcp) { RunTcp(std::random_device()(), /*gentle=*/true); }
TEST(ChaosTest, GentleRdma) {
  RunRdma(std::random_device()(), /*gentle=*/true);
}

}  // namespace
}  // namespace te
