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

DEFINE_int32(seconds, 60, "How long to make trouble.");
DEFINE_uint32(seed, 0, "Of all that is random; 0 chooses one.");
DEFINE_string(cluster, "tcp", "What the engines use: tcp or rdma (emulated).");
DEFINE_int32(nodes, 3, "How many engines, at least 2.");
DEFINE_int32(rails, 4, "How many rails, or NICs, each of them has.");
DEFINE_int32(threads, 16, "How many threads transfer.");
DEFINE_bool(gentle, false,
            "Leave the first rail of each engine alone, so that everything "
            "succeeds.");

namespace te {
namespace {

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
  if (FLAGS_nodes < 2 || FLAGS_rails < 2 || FLAGS_threads < 1 ||
      (FLAGS_cluster != "tcp" && FLAGS_cluster != "rdma")) {
    std::cerr << "chaos: a flag is out of its range; see --help\n";
    return 2;
  }
  return te::Run();
}
