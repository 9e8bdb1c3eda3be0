#ifndef TE_SIM_TRAFFIC_SOURCE_H_
#define TE_SIM_TRAFFIC_SOURCE_H_

#include <cstdint>
#include <vector>

#include "absl/status/status.h"
#include "te/base/clock.h"
#include "te/sim/event_queue.h"
#include "te/sim/pool.h"
#include "te/sim/rail_set.h"
#include "te/sim/random.h"
#include "te/sim/sim_slice.h"
#include "te/sim/statistics.h"
#include "te/sim/traffic.h"
#include "te/transport/slice.h"
#include "te/transport/slice_list.h"

namespace te::sim {

class TrafficSource;

// The slices of one batch. Theirs is one outcome: of a batch of a simulation
// nobody needs that of each request.
class SimBatch final : public CompletionSink {
 public:
  void Done(Slice& slice, absl::Status status) override;

  TrafficSource* source = nullptr;
  uint32_t slices_left = 0;
  bool failed = false;
  MonotonicTime submitted_at;
};

// What all sources share.
struct TrafficStores {
  EventQueue& events;
  Pool<SimSlice>& slices;
  Pool<SimBatch>& batches;
  Statistics& statistics;
};

// Submits the batches of one Traffic.
class TrafficSource {
 public:
  // `rail_sets`: one for each peer. `slice_bytes`: as in EngineOptions.
  TrafficSource(uint32_t number, const Traffic& traffic,
                std::vector<RailSet*> rail_sets, uint32_t slice_bytes,
                uint64_t seed, const TrafficStores& stores);
  TrafficSource(const TrafficSource&) = delete;
  TrafficSource& operator=(const TrafficSource&) = delete;

  void Start();
  // Event kNextBatch.
  void NextBatch();
  void SliceDone(SimBatch& batch, SimSlice& slice, bool ok);

  // It will submit nothing more, and all has ended.
  bool finished() const { return !MayGoOn() && under_way_ == 0; }

 private:
  bool MayGoOn() const {
    return traffic_.batches == 0 || submitted_ < traffic_.batches;
  }
  void ExpectNextBatch();
  void SubmitBatch();
  // Cuts a request; its slices go to the end of `slices`.
  void Cut(SimBatch& batch, uint32_t request, uint64_t bytes,
           SliceList& slices);

  const uint32_t number_;
  const Traffic traffic_;
  const std::vector<RailSet*> rail_sets_;
  const uint32_t slice_bytes_;
  Random random_;
  const TrafficStores stores_;
  uint64_t submitted_ = 0;
  uint64_t under_way_ = 0;
};

}  // namespace te::sim

#endif  // TE_SIM_TRAFFIC_SOURCE_H_
