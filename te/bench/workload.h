#ifndef TE_BENCH_WORKLOAD_H_
#define TE_BENCH_WORKLOAD_H_

#include <cstdint>

namespace te::bench {

enum class Traffic : uint8_t {
  kRead,
  kWrite,
  // Every other request is a WRITE.
  kMix,
};

inline const char* TrafficName(Traffic traffic) {
  switch (traffic) {
    case Traffic::kRead:
      return "read";
    case Traffic::kWrite:
      return "write";
    case Traffic::kMix:
      return "mix";
  }
  return "";
}

// When data are compared with what they should be.
enum class Verify : uint8_t {
  kOff,
  // In one batch before and one after those that are measured.
  kSpot,
  // In every batch.
  kEveryBatch,
};

// What one row of the table measures. All numbers are at least 1.
struct Workload {
  Traffic traffic = Traffic::kRead;
  uint64_t block_size = 0;
  int batch_size = 0;
  int threads = 0;

  // Request `index` of thread `thread` has this place in the buffers of both
  // sides, so that no two requests under way share memory.
  uint64_t OffsetOf(int thread, int index) const {
    return block_size * (static_cast<uint64_t>(index) * threads + thread);
  }
  // What must fit into the buffers.
  uint64_t Footprint() const { return block_size * batch_size * threads; }

  friend bool operator==(const Workload&, const Workload&) = default;
};

}  // namespace te::bench

#endif  // TE_BENCH_WORKLOAD_H_
