// Transfers between engines in this process for as long as it is told to, while
// their rails fail and they are restarted, and checks every byte: see Chaos.

#include <chrono>
#include <cstdint>
#include <iostream>
#include <memory>
#include <random>

#include "absl/status/status.h"
#include "gflags/gflags.h"
#include "glog/logging.h"
#include "te/testing/chaos.h"
#include "te/testing/chaos_cluster.h"
#include "te/testing/rdma_chaos_cluster.h"
#include "te/testing/shaped_tcp_cluster.h"

DEFINE_int32(seconds, 60, "How long to make trouble, 1 to 86400.");
DEFINE_uint32(seed, 0, "Of all that is random; 0 chooses one.");
DEFINE_string(cluster, "tcp", "What the engines use: tcp or rdma (emulated).");
DEFINE_int32(nodes, 3, "How many engines, 2 to 16.");
DEFINE_int32(rails, 4, "How many rails, or NICs, each of them has, 2 to 32.");
DEFINE_int32(threads, 16, "How many threads transfer, 1 to 256.");
DEFINE_bool(gentle, false,
            "Leave the first rail of each engine alone, so that everything "
            "succeeds.");

namespace te {
namespace {

bool IsWithin(const char* flag, int value, int least, int most) {
  if (value >= least && value <= most) return true;
  std::cerr << "chaos: --" << flag << " must be " << least << " to " << most
            << "\n";
  return false;
}

bool AreFlagsGood() {
  if (FLAGS_cluster != "tcp" && FLAGS_cluster != "rdma") {
    std::cerr << "chaos: --cluster must be tcp or rdma\n";
    return false;
  }
  return IsWithin("seconds", FLAGS_seconds, 1, 86'400) &&
         IsWithin("nodes", FLAGS_nodes, 2, 16) &&
         IsWithin("rails", FLAGS_rails, 2, 32) &&
         IsWithin("threads", FLAGS_threads, 1, 256);
}

int Run() {
  const uint32_t seed = FLAGS_seed != 0 ? FLAGS_seed : std::random_device()();
  const auto nodes = static_cast<size_t>(FLAGS_nodes);
  std::unique_ptr<ChaosCluster> cluster;
  if (FLAGS_cluster == "rdma") {
    cluster = std::make_unique<RdmaChaosCluster>(
        nodes, static_cast<uint8_t>(FLAGS_rails), seed, FLAGS_gentle);
  } else {
    cluster = std::make_unique<ShapedTcpCluster>(
        nodes, static_cast<size_t>(FLAGS_rails), seed, FLAGS_gentle);
  }
  std::cout << "seed " << seed << std::endl;
  Chaos chaos(*cluster, {.seed = seed,
                         .duration = std::chrono::seconds(FLAGS_seconds),
                         .threads = static_cast<size_t>(FLAGS_threads),
                         .gentle = FLAGS_gentle});
  const absl::Status status = chaos.Run();
  std::cout << chaos.Summary() << "\n" << status.ToString() << std::endl;
  return status.ok() ? 0 : 1;
}

}  // namespace
}  // namespace te

int main(int argc, char** argv) {
  gflags::ParseCommandLineFlags(&argc, &argv, true);
  google::InitGoogleLogging(argv[0]);
  FLAGS_logtostderr = true;
  return te::AreFlagsGood() ? te::Run() : 2;
}
