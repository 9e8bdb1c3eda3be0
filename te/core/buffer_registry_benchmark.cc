// What it costs to register memory that has been touched, with its location and
// without.
#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "benchmark/benchmark.h"
#include "glog/logging.h"
#include "te/base/clock.h"
#include "te/base/memory_location.h"
#include "te/core/buffer_registry.h"
#include "te/core/request.h"

namespace te {
namespace {

void Register(benchmark::State& state, const MemoryLocation& location) {
  std::vector<std::byte> memory(static_cast<size_t>(state.range(0)));
  BufferRegistry registry(1);
  for (auto _ : state) {
    const auto id = registry.Register({.address = memory.data(),
                                       .length = memory.size(),
                                       .location = location});
    CHECK(id.ok()) << id.status();
    CHECK(registry.Unregister(*id, kNoDeadline).ok());
  }
}

void BM_RegisterWithLocation(benchmark::State& state) {
  Register(state, MemoryLocation::Cpu(0));
}
BENCHMARK(BM_RegisterWithLocation)
    ->Arg(64 << 10)
    ->Arg(1 << 20)
    ->Arg(1 << 30)
    ->Unit(benchmark::kMicrosecond);

void BM_RegisterAnywhere(benchmark::State& state) {
  Register(state, MemoryLocation());
}
BENCHMARK(BM_RegisterAnywhere)
    ->Arg(64 << 10)
    ->Arg(1 << 20)
    ->Arg(1 << 30)
    ->Unit(benchmark::kMicrosecond);

// What each slice costs whose rail depends on where it lies.
void BM_LocationOf(benchmark::State& state) {
  std::vector<std::byte> memory(64 << 20);
  BufferRegistry registry(1);
  const auto id =
      registry.Register({.address = memory.data(), .length = memory.size()});
  CHECK(id.ok()) << id.status();
  const auto pin = registry.PinLocal(memory.data(), memory.size(), {});
  CHECK(pin.ok()) << pin.status();
  constexpr size_t kSlice = 64 << 10;
  size_t offset = 0;
  for (auto _ : state) {
    offset = (offset + kSlice) % memory.size();
    benchmark::DoNotOptimize(pin->LocationOf(memory.data() + offset, kSlice));
  }
}
BENCHMARK(BM_LocationOf);

}  // namespace
}  // namespace te
