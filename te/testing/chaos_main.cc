// Transfers between engines in this process for as long as it is told to, while
// their rails fail and they are restarted, and checks every byte: see Chaos.

#include <chrono>
#include <cstdint>
#include <iostream>
#include <memory>
#include <random>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "gflags/gflags.h"
#include "glog/logging.h"
#include "te/base/status_macros.h"
#include "te/program/exit_status.h"
#include "te/program/flag_checks.h"
#include "te/program/program.h"
#include "te/testing/chaos.h"
#include "te/testing/chaos_cluster.h"
#include "te/testing/rdma_chaos_cluster.h"
#include "te/testing/shaped_tcp_cluster.h"

DEFINE_int32(seconds, 60, "how long to make trouble, 1 to 86400");
DEFINE_uint32(seed, 0, "of all that is random; 0 chooses one");
DEFINE_string(cluster, "tcp", "what the engines use: tcp or rdma (emulated)");
DEFINE_int32(nodes, 3, "how many engines, 2 to 16");
DEFINE_int32(rails, 4, "how many rails, or NICs, each of them has, 2 to 32");
DEFINE_int32(threads, 16, "how many threads transfer, 1 to 256");
DEFINE_bool(gentle, false,
            "leave the first rail of each engine alone, so that everything "
            "succeeds");

namespace te {
namespace {

using program::CheckRange;

constexpr absl::string_view kIntroduction =
    R"(chaos transfers between engines in this process while their rails fail and they
are restarted, and checks every byte.

  chaos --seconds=3600 --cluster=rdma

Exit status: 0, nothing was wrong; 1, something was, and stderr says what; 2, a
flag is wrong.
)";

constexpr const char* kFlags[] = {"seconds", "seed",    "cluster", "nodes",
                                  "rails",   "threads", "gentle"};

constexpr program::Description kProgram = {
    .name = "chaos",
    .introduction = kIntroduction,
    .flags = kFlags,
    .source = "te/testing/chaos_main.cc"};

absl::Status CheckFlags() {
  if (FLAGS_cluster != "tcp" && FLAGS_cluster != "rdma") {
    return program::BadFlag("cluster", "use tcp or rdma");
  }
  TE_RETURN_IF_ERROR(CheckRange("seconds", FLAGS_seconds, 1, 86'400));
  TE_RETURN_IF_ERROR(CheckRange("nodes", FLAGS_nodes, 2, 16));
  TE_RETURN_IF_ERROR(CheckRange("rails", FLAGS_rails, 2, 32));
  return CheckRange("threads", FLAGS_threads, 1, 256);
}

absl::Status Run() {
  TE_RETURN_IF_ERROR(CheckFlags());
  FLAGS_logtostderr = true;
  google::InitGoogleLogging(kProgram.name);
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
  std::cout << chaos.Summary() << std::endl;
  if (status.ok()) std::cout << "nothing was wrong" << std::endl;
  return program::AtRunTime(status);
}

}  // namespace
}  // namespace te

int main(int argc, char** argv) {
  return te::program::Run(te::kProgram, {argv, static_cast<size_t>(argc)},
                          te::Run);
}
