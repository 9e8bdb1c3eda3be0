// What the engine itself costs for each request over RDMA: two engines in this
// process, over emulated devices that complete at once and copy nothing. To be
// run under callgrind, which counts the instructions of MeasuredRounds:
//
//   bazel build -c opt //te/bench:rdma_cost
//   cd bazel-bin/te/bench
//   valgrind --tool=callgrind --toggle-collect='*MeasuredRounds*' ./rdma_cost
//
// or, for requests one at a time, with --batch_size=1.
//
// Prints how many requests that was, and the time that they took.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iostream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "gflags/gflags.h"
#include "glog/logging.h"
#include "te/base/clock.h"
#include "te/metadata/in_process_store.h"
#include "te/metadata/metadata_store.h"
#include "te/options.h"
#include "te/rdma/emulated/emulated_device_spec.h"
#include "te/rdma/emulated/emulated_fabric.h"
#include "te/topology/machine.h"
#include "te/topology/nic.h"
#include "te/transfer_engine.h"

DEFINE_uint64(batch_size, 128, "requests in each batch");

namespace te::bench {
namespace {

constexpr size_t kBlock = 4096;
constexpr int kWarmUp = 200;
constexpr int kRounds = 1000;
constexpr Duration kEnough = std::chrono::seconds(60);

std::unique_ptr<TransferEngine> Start(rdma::emulated::EmulatedFabric& fabric,
                                      const std::string& name,
                                      std::shared_ptr<MetadataStore> store) {
  const std::string device = "mlx5_0";
  Machine machine;
  machine.nodes.push_back({});
  machine.nics.push_back(
      {.name = device, .ports = {{.number = 1, .state = PortState::kActive}}});
  Options options;
  options.local_server_name = "127.0.0.1";
  options.segment_name = name;
  options.metadata_store = std::move(store);
  options.protocol = "rdma";
  options.nics.machine = std::make_shared<const Machine>(std::move(machine));
  options.verbs = fabric.VerbsOf(name);
  auto engine = CreateTransferEngine(options);
  CHECK(engine.ok()) << engine.status();
  return *std::move(engine);
}

// Not inlined: callgrind knows it by its name.
__attribute__((noinline)) void MeasuredRounds(
    TransferEngine& engine, const std::vector<Request>& requests, int rounds) {
  for (int i = 0; i < rounds; ++i) {
    auto batch = engine.Submit(requests);
    CHECK(batch.ok()) << batch.status();
    CHECK(batch->Wait() && batch->status().ok()) << batch->status();
  }
}

void Warm(TransferEngine& engine, const std::vector<Request>& requests) {
  for (int i = 0; i < kWarmUp; ++i) {
    auto batch = engine.Submit(requests);
    CHECK(batch.ok() && batch->Wait() && batch->status().ok());
  }
}

int Main() {
  const size_t batch = FLAGS_batch_size;
  rdma::emulated::EmulatedFabric fabric(
      {.mode = rdma::emulated::WireMode::kImmediate, .copy = false});
  fabric.AddDevice("a", rdma::emulated::RoceDevice("mlx5_0", {10, 0, 0, 1}));
  fabric.AddDevice("b", rdma::emulated::RoceDevice("mlx5_0", {10, 0, 0, 2}));
  const auto store = std::make_shared<InProcessStore>();
  const auto server = Start(fabric, "b", store);
  const auto client = Start(fabric, "a", store);
  std::vector<std::byte> local(batch * kBlock);
  std::vector<std::byte> remote(batch * kBlock);
  CHECK(
      client->RegisterMemory({.address = local.data(), .length = local.size()})
          .ok());
  CHECK(
      server
          ->RegisterMemory({.address = remote.data(), .length = remote.size()})
          .ok());
  const auto segment = client->OpenSegment("b", kEnough);
  CHECK(segment.ok()) << segment.status();
  std::vector<Request> requests;
  for (size_t i = 0; i < batch; ++i) {
    // Backwards, so that no two can share a work request.
    const size_t offset = (batch - 1 - i) * kBlock;
    requests.push_back(
        {.operation = Operation::kWrite,
         .local = local.data() + offset,
         .segment = *segment,
         .remote_address = reinterpret_cast<uint64_t>(remote.data()) + offset,
         .length = kBlock});
  }
  Warm(*client, requests);
  const MonotonicTime begin = RealClock().Now();
  MeasuredRounds(*client, requests, kRounds);
  const Duration time = RealClock().Now() - begin;
  const auto requests_done = static_cast<int64_t>(kRounds * batch);
  std::cout << requests_done << " requests, " << time.count() / requests_done
            << " ns each\n";
  return 0;
}

}  // namespace
}  // namespace te::bench

int main(int argc, char** argv) {
  gflags::SetUsageMessage("counts what a request costs");
  gflags::ParseCommandLineFlags(&argc, &argv, /*remove_flags=*/true);
  google::InitGoogleLogging(argv[0]);
  FLAGS_logtostderr = true;
  return te::bench::Main();
}
