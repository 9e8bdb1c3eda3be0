#ifndef TE_TRANSPORT_SHM_COPY_POOLS_H_
#define TE_TRANSPORT_SHM_COPY_POOLS_H_

#include <cstddef>
#include <map>
#include <memory>
#include <vector>

#include "absl/base/attributes.h"
#include "absl/status/statusor.h"
#include "te/base/memory_location.h"
#include "te/transport/shm/copy_pool.h"

namespace te::shm {

// The threads that help to copy: a pool for each NUMA node, bound to the CPUs
// next to it, so that one side of what they copy is near. Thread-safe.
class CopyPools {
 public:
  // Pools of so many threads. `cpus`: of the NUMA nodes, by their numbers. CPUs
  // that the calling thread may not use do not count. Where that leaves no two
  // nodes, there is one pool, whose threads run wherever the calling one may.
  static absl::StatusOr<std::unique_ptr<CopyPools>> Create(
      int threads, const std::map<int, std::vector<int>>& cpus);
  // Forgets who is still waiting.
  ~CopyPools();

  // At least one.
  size_t size() const { return pools_.size(); }
  CopyPool& pool(size_t index) ABSL_ATTRIBUTE_LIFETIME_BOUND {
    return *pools_[index];
  }
  // Of the pool for memory that lies there: the first, if none is next to it.
  size_t IndexFor(const MemoryLocation& location) const;

 private:
  CopyPools() = default;

  // Of the pools, as long as there are several.
  std::vector<int> nodes_;
  std::vector<std::unique_ptr<CopyPool>> pools_;
};

}  // namespace te::shm

#endif  // TE_TRANSPORT_SHM_COPY_POOLS_H_
