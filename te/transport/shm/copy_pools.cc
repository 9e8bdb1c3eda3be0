#include "te/transport/shm/copy_pools.h"

#include <sched.h>

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "te/base/status_macros.h"

namespace te::shm {
namespace {

// Whoever has bound the process to some CPUs means its threads to stay there.
// Nothing is left if the kernel has more of them than cpu_set_t.
std::map<int, std::vector<int>> WithinAffinity(
    const std::map<int, std::vector<int>>& cpus) {
  cpu_set_t allowed;
  CPU_ZERO(&allowed);
  if (sched_getaffinity(0, sizeof(allowed), &allowed) != 0) return {};
  std::map<int, std::vector<int>> within;
  for (const auto& [node, all] : cpus) {
    std::vector<int> some;
    std::copy_if(
        all.begin(), all.end(), std::back_inserter(some), [&](int cpu) {
          return cpu >= 0 && cpu < CPU_SETSIZE && CPU_ISSET(cpu, &allowed);
        });
    if (!some.empty()) within[node] = std::move(some);
  }
  return within;
}

}  // namespace

absl::StatusOr<std::unique_ptr<CopyPools>> CopyPools::Create(
    int threads, const std::map<int, std::vector<int>>& cpus) {
  std::unique_ptr<CopyPools> pools(new CopyPools());
  const std::map<int, std::vector<int>> within = WithinAffinity(cpus);
  if (within.size() < 2) {
    TE_ASSIGN_OR_RETURN(auto pool, CopyPool::Create(threads));
    pools->pools_.push_back(std::move(pool));
    return pools;
  }
  for (const auto& [node, some] : within) {
    TE_ASSIGN_OR_RETURN(
        auto pool,
        CopyPool::Create(
            threads, {.name = absl::StrCat("te-shm-", node), .cpus = some}));
    pools->nodes_.push_back(node);
    pools->pools_.push_back(std::move(pool));
  }
  return pools;
}

CopyPools::~CopyPools() {
  for (const auto& pool : pools_) pool->Stop();
  // Who is forgotten may offer himself to any of them.
  const auto forgets = [](const auto& pool) { return pool->ForgetOne(); };
  while (std::any_of(pools_.begin(), pools_.end(), forgets)) {
  }
}

size_t CopyPools::IndexFor(const MemoryLocation& location) const {
  if (location.kind() != MemoryLocation::Kind::kCpu) return 0;
  const auto found = std::find(nodes_.begin(), nodes_.end(), location.index());
  return found == nodes_.end() ? 0 : found - nodes_.begin();
}

}  // namespace te::shm
