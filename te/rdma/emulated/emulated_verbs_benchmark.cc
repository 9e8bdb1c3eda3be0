// What posting and polling cost when nothing is copied: what is left for the
// device in a benchmark of the code above it.

#include <infiniband/verbs.h>

#include <cstddef>
#include <utility>
#include <vector>

#include "benchmark/benchmark.h"
#include "te/rdma/emulated/emulated_device_spec.h"
#include "te/rdma/emulated/fabric_options.h"
#include "te/rdma/emulated/test_end.h"

namespace te::rdma::emulated {
namespace {

// Lists of range(0) requests of 64 KiB, of which the last is signalled.
void BM_PostAndPoll(benchmark::State& state) {
  const auto count = static_cast<size_t>(state.range(0));
  TestNet net({.mode = WireMode::kImmediate, .copy = state.range(1) != 0},
              RoceDevice("mlx5_0", {10, 0, 0, 1}),
              RoceDevice("mlx5_0", {10, 0, 0, 2}));
  const TestEndOptions options = {.max_send_wr = 256, .bytes = 64 << 10};
  TestEnd a(net.fabric.VerbsOf("a"), options);
  TestEnd b(net.fabric.VerbsOf("b"), options);
  if (a.Connect(b) != 0 || b.Connect(a) != 0) {
    state.SkipWithError("cannot connect");
    return;
  }
  ibv_sge sge = a.Sge(0, a.memory.size());
  std::vector<ibv_send_wr> list(count,
                                a.Rdma(IBV_WR_RDMA_WRITE, 1, b, &sge, 0));
  for (size_t i = 0; i + 1 < count; ++i) {
    list[i].send_flags = 0;
    list[i].next = &list[i + 1];
  }
  for (auto _ : state) {
    ibv_send_wr* bad = nullptr;
    ibv_wc wc;
    if (ibv_post_send(a.qp, list.data(), &bad) != 0 ||
        ibv_poll_cq(a.cq, 1, &wc) != 1 || wc.status != IBV_WC_SUCCESS) {
      state.SkipWithError("a request failed");
      return;
    }
  }
  state.SetItemsProcessed(state.iterations() * state.range(0));
}
BENCHMARK(BM_PostAndPoll)
    ->ArgNames({"list", "copy"})
    ->Args({1, 0})
    ->Args({16, 0})
    ->Args({1, 1});

void BM_PollEmpty(benchmark::State& state) {
  TestNet net({.mode = WireMode::kImmediate, .copy = false},
              RoceDevice("mlx5_0", {10, 0, 0, 1}),
              RoceDevice("mlx5_0", {10, 0, 0, 2}));
  TestEnd a(net.fabric.VerbsOf("a"));
  ibv_wc wc;
  for (auto _ : state) {
    benchmark::DoNotOptimize(ibv_poll_cq(a.cq, 1, &wc));
  }
}
BENCHMARK(BM_PollEmpty);

}  // namespace
}  // namespace te::rdma::emulated
