// What a rail does for each slice.

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "te/base/memory_location.h"
#include "te/rdma/rdma_rail.h"
#include "te/rdma/send_queue.h"

namespace te::rdma {
namespace {

// From so many bytes under way on each lane that there is on, another one is
// worth a handshake.
constexpr uint64_t kBusyBytes = 256 << 10;
// What a new lane has to show that it works, before another one is opened.
constexpr Duration kPatience = std::chrono::milliseconds(50);

// So many bytes in a row may go to one lane: to look for the best one costs as
// much as a work request, and what goes to one lane may share work requests.
constexpr uint64_t kStretchBytes = SendQueue::kMaxMergedBytes;

}  // namespace

void RdmaRail::Post(absl::Span<Slice* const> slices) {
  if (slices.empty()) return;
  unfinished_ += slices.size();
  inbox_.Push(slices);
  Drive();
}

// Whoever has left slices, or made room, calls it. If another thread is here,
// it will look again.
void RdmaRail::Drive() {
  do {
    if (!driving_.TryTake()) return;
    room_ = false;
    SliceList wrong;
    SliceList orphaned;
    // The transport, and what Sort needs of it, may be gone if it has failed.
    if (!failed_) {
      Sort(wrong);
      Fill();
    }
    // Also when Fill has found that nothing works.
    if (failed_) {
      orphaned.Append(TakePending());
      orphaned.Append(inbox_.TakeAll());
    }
    driving_.Pass();
    // Now: with the last one the rail may go.
    if (!wrong.empty()) {
      FinishAll(std::move(wrong),
                absl::NotFoundError(absl::StrCat(
                    "segment ", peer_.name,
                    " has told no keys for this buffer; refresh the segment")));
    }
    if (!orphaned.empty()) FinishAll(std::move(orphaned), health());
  } while (room_ || !inbox_.empty());
}

// Takes what was posted, `wrong` being what cannot be sent.
void RdmaRail::Sort(SliceList& wrong) {
  SliceList posted = inbox_.TakeAll();
  if (posted.empty()) return;
  const size_t key_bytes = remote_nics_ * kRemoteKeyBytes;
  // Slices in a row are mostly of one class.
  MemoryLocation location = posted.front()->local_location;
  Class* of = &ClassOf(*posted.front());
  while (!posted.empty()) {
    Slice& slice = posted.PopFront();
    if (slice.remote_key.size() < key_bytes) {
      wrong.PushBack(slice);
      continue;
    }
    if (slice.local_location != location) {
      of = &ClassOf(slice);
      location = slice.local_location;
    }
    of->pending.PushBack(slice);
  }
}

RdmaRail::Class& RdmaRail::ClassOf(const Slice& slice) {
  const PriorityMatrix::Row* const row =
      &services_.matrix.Find(slice.local_location);
  for (Class& known : classes_) {
    if (known.row == row) return known;
  }
  classes_.push_back({.row = row});
  Class& added = classes_.back();
  for (const Lane& lane : lanes_) {
    const auto preferred = row->preferred();
    added.preferred.push_back(preferred.empty() ||
                              std::find(preferred.begin(), preferred.end(),
                                        lane.endpoint->nic().matrix_index) !=
                                  preferred.end());
  }
  return added;
}

void RdmaRail::Fill() {
  if (!HasPending()) return;
  // A queue pair takes a chain at a time.
  bool more = false;
  do {
    more = false;
    for (Class& of : classes_) more |= FillClass(of);
    RingAll();
  } while (more);
  bool waiting = false;
  const MonotonicTime now = RealClock().Now();
  for (Class& of : classes_) {
    if (std::exchange(of.filled, false) || !of.pending.empty()) {
      WantLane(of, now);
    }
    waiting |= !of.pending.empty();
  }
  if (!waiting || HasHope(now)) return;
  absl::Status why;
  {
    MutexLock lock(mutex_);
    why = last_error_;
  }
  SetFailed(absl::UnavailableError(
      absl::StrCat("no RDMA path to ", peer_.name, " works: ", why.message())));
}

// Returns whether there is more, and has been some room for it.
bool RdmaRail::FillClass(Class& of) {
  bool added = false;
  while (!of.pending.empty()) {
    Lane* const lane = LaneFor(of, *of.pending.front());
    if (lane == nullptr) break;
    lane->endpoint->Add(of.pending, kStretchBytes);
    added = true;
  }
  of.filled |= added;
  return added && !of.pending.empty();
}

// The one with the least under way, of those that are near if one of them is
// open; null if there is none, or no room.
RdmaRail::Lane* RdmaRail::LaneFor(const Class& of, const Slice& slice) {
  Lane* best = nullptr;
  bool best_preferred = false;
  bool preferred_open = false;
  for (size_t i = 0; i < lanes_.size(); ++i) {
    Lane& lane = lanes_[i];
    if (!Serves(lane)) continue;
    const bool preferred = of.preferred[i];
    preferred_open |= preferred;
    if (!lane.endpoint->HasRoomFor(slice)) continue;
    if (best == nullptr || (preferred && !best_preferred) ||
        (preferred == best_preferred &&
         lane.endpoint->in_flight_bytes() <
             best->endpoint->in_flight_bytes())) {
      best = &lane;
      best_preferred = preferred;
    }
  }
  return preferred_open && !best_preferred ? nullptr : best;
}

void RdmaRail::RingAll() {
  SliceList refused;
  for (Lane& lane : lanes_) {
    if (lane.state == State::kOpen) lane.endpoint->Ring(refused);
  }
  while (!refused.empty()) {
    Slice& slice = refused.PopFront();
    ClassOf(slice).pending.PushBack(slice);
  }
}

// Starts to open a lane, if the class has use for one more.
void RdmaRail::WantLane(const Class& of, MonotonicTime now) {
  size_t candidate = lanes_.size();
  bool any_open = false;
  for (size_t i = 0; i < lanes_.size(); ++i) {
    Lane& lane = lanes_[i];
    const bool coming = lane.state == State::kOpening ||
                        (IsOnTrial(lane) && now - lane.opened_at < kPatience);
    if (coming && of.preferred[i]) return;
    if (Serves(lane)) {
      any_open = true;
      // There is one with nothing much to do.
      if (of.preferred[i] && lane.endpoint->in_flight_bytes() < kBusyBytes) {
        return;
      }
    } else if (CanOpen(lane, now) &&
               (candidate == lanes_.size() ||
                std::pair(!of.preferred[i], lane.failures) <
                    std::pair(!of.preferred[candidate],
                              lanes_[candidate].failures))) {
      candidate = i;
    }
  }
  if (candidate == lanes_.size()) return;
  // Distant NICs are for when nothing else works.
  if (!of.preferred[candidate] && any_open) return;
  if (any_open && now < next_spare_) return;
  lanes_[candidate].need =
      any_open ? EndpointStore::Need::kSpare : EndpointStore::Need::kRequired;
  lanes_[candidate].state = State::kOpening;
  Schedule(services_.handshakes, {}, &RdmaRail::Open, candidate);
}

bool RdmaRail::CanOpen(const Lane& lane, MonotonicTime now) {
  return lane.state == State::kClosed && now >= lane.retry_at &&
         lane.endpoint->nic().device->usable();
}

// Handshakes go by another way: a connection may lead nowhere, and what was
// sent over it would be stuck until it is given up.
bool RdmaRail::IsOnTrial(const Lane& lane) {
  return lane.state == State::kOpen && lane.endpoint->usable() &&
         !lane.endpoint->proven();
}

bool RdmaRail::Serves(const Lane& lane) {
  return lane.state == State::kOpen && lane.endpoint->usable() &&
         lane.endpoint->proven();
}

// Whether there is a lane, or may soon be.
bool RdmaRail::HasHope(MonotonicTime now) const {
  return std::any_of(lanes_.begin(), lanes_.end(), [now](const Lane& lane) {
    return lane.state != State::kClosed || CanOpen(lane, now);
  });
}

bool RdmaRail::HasPending() const {
  return std::any_of(classes_.begin(), classes_.end(),
                     [](const Class& of) { return !of.pending.empty(); });
}

SliceList RdmaRail::TakePending() {
  SliceList all;
  for (Class& of : classes_) all.Append(std::move(of.pending));
  return all;
}

Progress RdmaRail::Poll() {
  bool idle = false;
  bool busy = false;
  for (const Lane& lane : lanes_) {
    if (lane.endpoint->quiet()) continue;
    const Progress progress = lane.endpoint->Poll();
    if (progress == Progress::kMoved) return progress;
    idle |= progress == Progress::kIdle;
    busy |= progress == Progress::kBusy;
  }
  return busy && !idle ? Progress::kBusy : Progress::kIdle;
}

void RdmaRail::BeginPolling() {
  for (const Lane& lane : lanes_) lane.endpoint->BeginPolling();
}

void RdmaRail::EndPolling() {
  for (const Lane& lane : lanes_) lane.endpoint->EndPolling();
}

void RdmaRail::Withdraw(absl::FunctionRef<bool(const Slice&)> matches,
                        const absl::Status& status) {
  SliceList withdrawn;
  SliceList wrong;
  driving_.Take();
  // Else Drive gives everything back.
  if (!failed_) Sort(wrong);
  SliceList pending = TakePending();
  while (!pending.empty()) {
    Slice& slice = pending.PopFront();
    (matches(slice) ? withdrawn : ClassOf(slice).pending).PushBack(slice);
  }
  driving_.Pass();
  withdrawn.Append(std::move(wrong));
  FinishAll(std::move(withdrawn), status);
  Drive();
}

void RdmaRail::OnDeviceChange(const NicUnit& nic) {
  const absl::Status health = nic.device->health();
  driving_.Take();
  for (Lane& lane : lanes_) {
    if (&lane.endpoint->nic() != &nic) continue;
    if (!health.ok() && lane.state == State::kOpen) {
      lane.endpoint->Break(health);
    }
    lane.failures = 0;
    lane.retry_at = {};
  }
  driving_.Pass();
  Drive();
}

void RdmaRail::FinishAll(SliceList slices, const absl::Status& status) {
  uint64_t count = 0;
  while (!slices.empty()) {
    Slice& slice = slices.PopFront();
    // It may be gone after Done.
    slice.sink->Done(slice, status);
    ++count;
  }
  // The rail may be gone after this line: its Close waits for it.
  unfinished_ -= count;
}

void RdmaRail::OnRoom() {
  TellWhoAwaitsProof();
  room_ = true;
  Drive();
}

}  // namespace te::rdma
