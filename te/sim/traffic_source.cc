#include "te/sim/traffic_source.h"

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "te/base/clock.h"
#include "te/core/slicer.h"
#include "te/sim/event_queue.h"
#include "te/sim/rail_set.h"
#include "te/sim/sim_slice.h"
#include "te/sim/traffic.h"
#include "te/transport/slice.h"
#include "te/transport/slice_list.h"

namespace te::sim {

void SimBatch::Done(Slice& slice, absl::Status status) {
  source->SliceDone(*this, static_cast<SimSlice&>(slice), status.ok());
}

TrafficSource::TrafficSource(uint32_t number, const Traffic& traffic,
                             std::vector<RailSet*> rail_sets,
                             uint32_t slice_bytes, uint64_t seed,
                             const TrafficStores& stores)
    : number_(number),
      traffic_(traffic),
      rail_sets_(std::move(rail_sets)),
      slice_bytes_(slice_bytes),
      random_(seed),
      stores_(stores) {}

void TrafficSource::Start() {
  if (traffic_.in_flight == 0) ExpectNextBatch();
  for (uint32_t i = 0; i < traffic_.in_flight && MayGoOn(); ++i) SubmitBatch();
}

void TrafficSource::NextBatch() {
  SubmitBatch();
  if (MayGoOn()) ExpectNextBatch();
}

void TrafficSource::ExpectNextBatch() {
  const double nanoseconds = random_.Exponential(1e9 / traffic_.per_second);
  stores_.events.Push(
      stores_.events.now() + Duration(static_cast<int64_t>(nanoseconds)),
      EventKind::kNextBatch, number_);
}

void TrafficSource::SubmitBatch() {
  SimBatch& batch = stores_.batches.Take();
  batch.source = this;
  batch.slices_left = 0;
  batch.failed = false;
  batch.submitted_at = stores_.events.now();
  ++submitted_;
  ++under_way_;
  RailSet& rails = *rail_sets_[random_.Below(rail_sets_.size())];
  SliceList slices;
  for (uint32_t i = 0; i < traffic_.requests; ++i) {
    const auto bytes = traffic_.min_bytes == traffic_.max_bytes
                           ? traffic_.min_bytes
                           : static_cast<uint64_t>(random_.LogUniform(
                                 static_cast<double>(traffic_.min_bytes),
                                 static_cast<double>(traffic_.max_bytes)));
    Cut(batch, i, bytes, slices);
  }
  rails.Submit(std::move(slices));
}

void TrafficSource::Cut(SimBatch& batch, uint32_t request, uint64_t bytes,
                        SliceList& slices) {
  const Slicing slicing = te::Cut(bytes, slice_bytes_);
  for (size_t i = 0; i < slicing.count; ++i) {
    SimSlice& slice = stores_.slices.Take();
    slice = SimSlice();
    slice.operation = traffic_.operation;
    slice.bulk = bytes > kLatencyBytes;
    slice.request = request;
    slice.length = i + 1 < slicing.count ? slicing.size : slicing.last;
    slice.owner = &batch;
    slices.PushBack(slice);
    ++batch.slices_left;
  }
}

void TrafficSource::SliceDone(SimBatch& batch, SimSlice& slice, bool ok) {
  const Duration now = stores_.events.now() - EventQueue::kStart;
  if (ok) {
    stores_.statistics.SliceDone(slice.rail, slice.length, now);
  } else {
    batch.failed = true;
  }
  stores_.slices.GiveBack(slice);
  if (--batch.slices_left > 0) return;
  stores_.statistics.BatchDone(traffic_.max_bytes > kLatencyBytes, batch.failed,
                               batch.submitted_at - EventQueue::kStart, now);
  stores_.batches.GiveBack(batch);
  --under_way_;
  if (traffic_.in_flight > 0 && MayGoOn()) SubmitBatch();
}

}  // namespace te::sim
