#include <stdint.h>

#include <atomic>
#include <memory>
#include <thread>

#include "benchmark/benchmark.h"
#include "te/base/mpsc_queue.h"

namespace te {
namespace {

void BM_PushPop(benchmark::State& state) {
  MpscQueue<uint64_t> queue(1024);
  for (auto _ : state) {
    queue.TryPush(1);
    benchmark::DoNotOptimize(queue.TryPop());
  }
}
BENCHMARK(BM_PushPop);

// Producers against one consumer that spins; the rate is that of elements which
// found room.
void BM_Producers(benchmark::State& state) {
  static std::unique_ptr<MpscQueue<uint64_t>> queue;
  static std::atomic<bool> stop;
  static std::thread consumer;
  if (state.thread_index() == 0) {
    queue = std::make_unique<MpscQueue<uint64_t>>(1024);
    stop = false;
    consumer = std::thread([] {
      while (!stop) benchmark::DoNotOptimize(queue->TryPop());
    });
  }
  int64_t pushed = 0;
  for (auto _ : state) {
    if (queue->TryPush(1)) ++pushed;
  }
  state.SetItemsProcessed(pushed);
  if (state.thread_index() == 0) {
    stop = true;
    consumer.join();
  }
}
BENCHMARK(BM_Producers)->ThreadRange(1, 4)->UseRealTime();

}  // namespace
}  // namespace te
