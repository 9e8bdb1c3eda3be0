#ifndef TE_BENCH_BENCH_MEMORY_H_
#define TE_BENCH_BENCH_MEMORY_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/base/attributes.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "te/core/request.h"
#include "te/topology/numa_node.h"

namespace te::bench {

// Memory to transfer to and from: one buffer on each NUMA node. Pages get
// memory when they are touched first. Unmaps when destroyed. Thread-compatible.
class BenchMemory {
 public:
  struct Buffer {
    // The node's index, and the CPUs next to it.
    int node = 0;
    std::vector<int> cpus;
    absl::Span<std::byte> bytes;
  };

  // `size` bytes on each of `nodes` that has memory which this process may use,
  // but not in the memory of GPUs. RESOURCE_EXHAUSTED if the system refuses
  // them.
  static absl::StatusOr<BenchMemory> Map(absl::Span<const NumaNode> nodes,
                                         uint64_t size);

  BenchMemory(BenchMemory&& other) noexcept
      : buffers_(std::move(other.buffers_)) {
    other.buffers_.clear();
  }
  BenchMemory& operator=(BenchMemory&&) = delete;
  ~BenchMemory();

  absl::Span<const Buffer> buffers() const ABSL_ATTRIBUTE_LIFETIME_BOUND {
    return buffers_;
  }
  // The buffers as an engine takes them.
  std::vector<MemoryRegion> Regions(Access access) const;

 private:
  BenchMemory() = default;

  std::vector<Buffer> buffers_;
};

}  // namespace te::bench

#endif  // TE_BENCH_BENCH_MEMORY_H_
