// How long a program waits for the topology at its start, and a slice for the
// NICs of its memory.

#include <string>

#include "absl/strings/str_cat.h"
#include "benchmark/benchmark.h"
#include "glog/logging.h"
#include "te/base/memory_location.h"
#include "te/topology/discovery.h"
#include "te/topology/hwloc_xml.h"
#include "te/topology/machine.h"
#include "te/topology/nic_ranking.h"
#include "te/topology/priority_matrix.h"
#include "te/topology/test_machines.h"

namespace te {
namespace {

// GID tables as long as those of mlx5.
std::string SixteenNics() {
  std::string text = ReadTestMachine("sixteen_nics.sysfs");
  for (int i = 0; i < 16; ++i) {
    absl::StrAppend(
        &text, "[class/infiniband/mlx5_", i,
        "/ports/1]\n"
        "gids/{8..255} = 0000:0000:0000:0000:0000:0000:0000:0000\n");
  }
  return text;
}

// All but hwloc: 16 NICs and 8 GPUs, read from files.
void BM_ReadSixteenNics(benchmark::State& state) {
  const SysfsCopy sysfs(SixteenNics());
  const std::string xml = ReadTestMachine("sixteen_nics.xml");
  for (auto _ : state) {
    const auto machine = DiscoverMachine(xml, sysfs.root());
    CHECK(machine.ok());
    CHECK_EQ(machine->nics.size(), 16U);
    CHECK(MakeMatrix(*machine, {}).ok());
  }
}
BENCHMARK(BM_ReadSixteenNics)->Unit(benchmark::kMillisecond);

void BM_HwlocOfThisMachine(benchmark::State& state) {
  for (auto _ : state) CHECK(HwlocXmlOfThisMachine().ok());
}
BENCHMARK(BM_HwlocOfThisMachine)->Unit(benchmark::kMillisecond);

void BM_DiscoverThisMachine(benchmark::State& state) {
  for (auto _ : state) CHECK(DiscoverMachine().ok());
}
BENCHMARK(BM_DiscoverThisMachine)->Unit(benchmark::kMillisecond);

void BM_FindInMatrix(benchmark::State& state) {
  const PriorityMatrix matrix =
      MakeMatrix(DiscoverTestMachineByXml("sixteen_nics"), {}).value();
  const MemoryLocation locations[] = {MemoryLocation::Cpu(0),
                                      MemoryLocation::Cuda(7), MemoryLocation(),
                                      MemoryLocation::Cpu(1)};
  size_t i = 0;
  for (auto _ : state) {
    const auto& row = matrix.Find(locations[i++ % 4]);
    benchmark::DoNotOptimize(row.preferred().data());
  }
}
BENCHMARK(BM_FindInMatrix);

}  // namespace
}  // namespace te
