#ifndef TE_BENCH_BENCH_MEMORY_H_
#define TE_BENCH_BENCH_MEMORY_H_

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/base/attributes.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "te/base/clock.h"
#include "te/bench/memory_source.h"
#include "te/core/request.h"
#include "te/core/transfer_engine.h"
#include "te/topology/numa_node.h"

namespace te::bench {

// Memory to transfer to and from: one buffer on each NUMA node. Pages get
// memory when they are touched. Thread-compatible.
//
// That of the user is there from the start, and unmapped when this is
// destroyed: that must be after the engine, which uses it until its end, or
// after RemoveFrom. That of an engine is there from AddTo until RemoveFrom or
// the end of the engine, and this is destroyed before or after.
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
  static absl::StatusOr<BenchMemory> Create(MemorySource source,
                                            absl::Span<const NumaNode> nodes,
                                            uint64_t size);

  BenchMemory(BenchMemory&& other) noexcept
      : source_(other.source_),
        size_(other.size_),
        buffers_(std::exchange(other.buffers_, {})),
        ids_(std::exchange(other.ids_, {})) {}
  BenchMemory& operator=(BenchMemory&&) = delete;
  ~BenchMemory();

  // Has the engine register the buffers, or allocate them. `fill` is called
  // with each before peers are told of it. After an error
  // the engine may have kept some. Once, or again after RemoveFrom.
  using Fill = absl::FunctionRef<void(absl::Span<std::byte>)>;
  absl::Status AddTo(TransferEngine& engine, Access access,
                     Fill fill = FillWithNothing);
  // The opposite, also after an error of AddTo. The first error of any buffer,
  // each of which gets `timeout`.
  absl::Status RemoveFrom(TransferEngine& engine, Duration timeout);

  // Empty ones if they are an engine's that does not have them.
  absl::Span<const Buffer> buffers() const ABSL_ATTRIBUTE_LIFETIME_BOUND {
    return buffers_;
  }

 private:
  BenchMemory(MemorySource source, uint64_t size)
      : source_(source), size_(size) {}

  static void FillWithNothing(absl::Span<std::byte>) {}
  absl::Status Map(Buffer& buffer, bool bind);
  absl::Status Register(TransferEngine& engine, Access access);
  absl::Status Allocate(TransferEngine& engine, Access access, Fill fill,
                        Buffer& buffer);

  const MemorySource source_;
  const uint64_t size_;
  std::vector<Buffer> buffers_;
  // Of those that the engine has.
  std::vector<BufferId> ids_;
};

}  // namespace te::bench

#endif  // TE_BENCH_BENCH_MEMORY_H_
