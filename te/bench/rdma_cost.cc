// What the engine itself costs for each request over RDMA: two engines in this
// process, over emulated devices that complete at once and copy nothing.

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iostream>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "gflags/gflags.h"
#include "glog/logging.h"
#include "te/base/clock.h"
#include "te/base/status_macros.h"
#include "te/core/request.h"
#include "te/metadata/in_process_store.h"
#include "te/metadata/metadata_store.h"
#include "te/options.h"
#include "te/program/exit_status.h"
#include "te/program/flag_checks.h"
#include "te/program/program.h"
#include "te/rdma/emulated/emulated_device_spec.h"
#include "te/rdma/emulated/emulated_fabric.h"
#include "te/topology/machine.h"
#include "te/topology/nic.h"
#include "te/transfer_engine.h"

DEFINE_uint64(batch_size, 128, "requests in each batch, 1 to 16384");

namespace te::bench {
namespace {

using program::CheckRange;

constexpr size_t kBlock = 4096;
constexpr int kWarmUp = 200;
constexpr int kRounds = 1000;
constexpr Duration kEnough = std::chrono::seconds(60);

absl::StatusOr<std::unique_ptr<TransferEngine>> Start(
    rdma::emulated::EmulatedFabric& fabric, const std::string& name,
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
  return CreateTransferEngine(options);
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

constexpr absl::string_view kIntroduction =
    R"(rdma_cost measures what te itself costs for each request of 4 KiB over RDMA,
with devices that are only emulated, do nothing, and complete at once. It prints
how many requests that was, and the time that each took.

  rdma_cost --batch_size=1
      Requests one at a time.
  valgrind --tool=callgrind --toggle-collect='*MeasuredRounds*' rdma_cost
      Counts instructions.

Exit status: 0; 1, something failed, and stderr says what; 2, a flag is wrong.
)";

constexpr const char* kFlags[] = {"batch_size"};

constexpr program::Description kProgram = {.name = "rdma_cost",
                                           .introduction = kIntroduction,
                                           .flags = kFlags,
                                           .source = "te/bench/rdma_cost.cc"};

absl::Status Measure(size_t batch) {
  rdma::emulated::EmulatedFabric fabric(
      {.mode = rdma::emulated::WireMode::kImmediate, .copy = false});
  fabric.AddDevice("a", rdma::emulated::RoceDevice("mlx5_0", {10, 0, 0, 1}));
  fabric.AddDevice("b", rdma::emulated::RoceDevice("mlx5_0", {10, 0, 0, 2}));
  const auto store = std::make_shared<InProcessStore>();
  TE_ASSIGN_OR_RETURN(const auto server, Start(fabric, "b", store));
  TE_ASSIGN_OR_RETURN(const auto client, Start(fabric, "a", store));
  std::vector<std::byte> local(batch * kBlock);
  std::vector<std::byte> remote(batch * kBlock);
  TE_RETURN_IF_ERROR(
      client->RegisterMemory({.address = local.data(), .length = local.size()})
          .status());
  TE_RETURN_IF_ERROR(
      server
          ->RegisterMemory({.address = remote.data(), .length = remote.size()})
          .status());
  TE_ASSIGN_OR_RETURN(const SegmentId segment,
                      client->OpenSegment("b", kEnough));
  std::vector<Request> requests;
  for (size_t i = 0; i < batch; ++i) {
    // Backwards, so that no two can share a work request.
    const size_t offset = (batch - 1 - i) * kBlock;
    requests.push_back(
        {.operation = Operation::kWrite,
         .local = local.data() + offset,
         .segment = segment,
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
  return absl::OkStatus();
}

absl::Status Run() {
  // Of 128 MiB of memory.
  constexpr int kMostRequests = 16'384;
  TE_RETURN_IF_ERROR(CheckRange(
      "batch_size", static_cast<double>(FLAGS_batch_size), 1, kMostRequests));
  FLAGS_logtostderr = true;
  google::InitGoogleLogging(kProgram.name);
  return program::AtRunTime(Measure(FLAGS_batch_size));
}

}  // namespace
}  // namespace te::bench

int main(int argc, char** argv) {
  return te::program::Run(te::bench::kProgram,
                          {argv, static_cast<size_t>(argc)}, te::bench::Run);
}
