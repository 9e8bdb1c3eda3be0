// What a set of rails does for each slice.

#include <algorithm>
#include <chrono>
#include <thread>
#include <utility>

#include "te/core/rail_set.h"

namespace te {
namespace {

using std::chrono::milliseconds;

// Short slices in a row go the same way, so that they cost one choice, and may
// share a work request: no more than that, and than a slice should have.
constexpr uint64_t kStretchBytes = 64 << 10;
// How old what is known of the rails' states may be.
constexpr Duration kStateAge = milliseconds(1);
// From so many bytes that wait or are under way on each rail that is ready,
// another one is worth setting up; if it is not ready in that time, one more.
constexpr uint64_t kBusyBytes = 256 << 10;
constexpr Duration kPatience = milliseconds(50);
// How soon somebody looks again, if no completion makes him.
constexpr Duration kTick = milliseconds(10);

}  // namespace

void RailSet::Post(absl::Span<Slice* const> slices) {
  if (slices.empty()) return;
  inbox_.Push(slices);
  Drive();
}

// From a rail.
void RailSet::Done(Slice& slice, absl::Status status) {
  Member& member = *members_[slice.rail];
  const uint64_t bytes = slice.length;
  slice.sink = slice.owner;
  if (!status.ok()) {
    (absl::IsUnavailable(status) ? member.failed : member.given_back) += bytes;
  } else if (slice.posted_at != MonotonicTime()) {
    Note(member, slice);
  }
  // After that, so that whoever sees it sees that too.
  const uint64_t returned = member.returned.fetch_add(bytes) + bytes;
  if (poster_.load(std::memory_order_relaxed) == std::this_thread::get_id()) {
    // Relaxed: a thread always sees what itself has stored.
    driving_.AssertHeld();
    if (status.ok()) {
      done_.PushBack(slice);
    } else {
      returns_.push_back({.slice = &slice, .status = std::move(status)});
    }
    return;
  }
  if (waiting_ && returned >= member.refill_at) {
    room_ = true;
    Drive();
  }
  // The set may be gone after this line, as may the slice.
  slice.owner->Done(slice, std::move(status));
}

// If others do the same at this moment, theirs will do.
void RailSet::Note(Member& member, const Slice& slice) {
  if (!member.noting.TryTake()) return;
  // Of a lesson that nobody has read yet, and that tells of the latency, there
  // may not be another one soon.
  if (!member.lesson || !member.lesson->mark.alone) {
    const uint64_t undone = member.failed + member.given_back;
    const uint64_t carried = member.returned + slice.length - undone;
    const auto since = static_cast<int64_t>(carried - slice.carried_before);
    // Less, if others have given something back between these looks: then there
    // is nothing to learn.
    if (since >= int64_t{slice.length}) {
      member.lesson = {.mark = {.since = slice.posted_at, .alone = slice.alone},
                       .carried = static_cast<uint64_t>(since),
                       .completed_at = RealClock().Now()};
    }
  }
  member.noting.Pass();
}

void RailSet::DriveOnce() {
  const MonotonicTime now = RealClock().Now();
  for (size_t i = 0; i < members_.size(); ++i) CountReturned(i, now);
  Sort();
  if (!IsWaiting()) {
    waiting_ = false;
    return;
  }
  if (now - states_seen_at_ > kStateAge) LookAtStates(now);
  Fill(now);
  if (IsWaiting() && !IsUnderWay()) {
    if (!LookAtStates(now)) return SetFailed(NoRailWorks());
    Fill(now);
  }
  for (Class& of : classes_) {
    if (std::exchange(of.sent, false) || !of.queue.empty()) {
      PrepareMore(of, now);
    }
  }
  SetWaiting();
}

void RailSet::CountReturned(size_t index, MonotonicTime now) {
  Member& member = *members_[index];
  // What has failed is counted before it is counted as returned, so it may be
  // more than that for a moment.
  const uint64_t left = member.posted - member.returned;
  uint64_t returned = scheduler_.rail(index).in_flight() - left;
  if (returned == 0) return;
  const auto take = [&returned](uint64_t all, uint64_t& seen) {
    const uint64_t taken = std::min(all - seen, returned);
    seen += taken;
    returned -= taken;
    return taken;
  };
  const uint64_t failed = take(member.failed, member.failed_seen);
  const uint64_t given_back = take(member.given_back, member.given_back_seen);
  if (returned > 0) scheduler_.Completed(index, returned, now);
  if (given_back > 0) scheduler_.GivenBack(index, given_back);
  if (failed > 0) scheduler_.Failed(index, failed, now);
  // It may have had its reasons.
  if (given_back > 0 || failed > 0) states_seen_at_ = {};
  if (!member.noting.TryTake()) return;
  const auto lesson = std::exchange(member.lesson, std::nullopt);
  member.noting.Pass();
  if (!lesson) return;
  scheduler_.Learn(index, lesson->mark, lesson->carried, lesson->completed_at);
  NotePathBytes();
}

void RailSet::NotePathBytes() {
  const double bytes = scheduler_.path_bytes();
  path_bytes_.store(
      static_cast<uint32_t>(std::min<double>(bytes, kMaxSliceBytes)),
      std::memory_order_relaxed);
}

bool RailSet::LookAtStates(MonotonicTime now) {
  using Use = RailScheduler::Use;
  states_seen_at_ = now;
  bool ready = false;
  bool hope = false;
  for (size_t i = 0; i < members_.size(); ++i) {
    Member& member = *members_[i];
    const State before = std::exchange(member.state, member.rail->state());
    ready |= member.state == State::kReady;
    hope |= member.state != State::kDown;
    // As after an event of its port.
    if (before == State::kDown && member.state != before) scheduler_.Revive(i);
  }
  for (size_t i = 0; i < members_.size(); ++i) {
    const State state = members_[i]->state;
    const bool serves = state == State::kReady;
    const bool may_serve = !ready && state != State::kDown;
    scheduler_.SetUse(
        i, serves ? Use::kFull : (may_serve ? Use::kOneSlice : Use::kNone));
  }
  return hope;
}

// Takes what was posted.
void RailSet::Sort() {
  SliceList posted = inbox_.TakeAll();
  while (!posted.empty()) {
    // Slices in a row are mostly of one kind of memory.
    const MemoryLocation location = posted.front()->local_location;
    SliceList alike;
    do {
      alike.PushBack(posted.PopFront());
    } while (!posted.empty() && posted.front()->local_location == location);
    ClassOf(location).queue.Push(std::move(alike));
  }
}

RailSet::Class& RailSet::ClassOf(MemoryLocation location) {
  for (const Place& place : places_) {
    if (place.location == location) return classes_[place.of_class];
  }
  uint64_t near = 0;
  for (size_t i = 0; i < members_.size(); ++i) {
    if (members_[i]->rail->IsNear(location)) near |= uint64_t{1} << i;
  }
  size_t index = 0;
  while (index < classes_.size() && classes_[index].near_rails != near) ++index;
  if (index == classes_.size()) classes_.push_back({.near_rails = near});
  places_.push_back({.location = location, .of_class = index});
  return classes_[index];
}

bool RailSet::IsWaiting() const {
  return std::any_of(classes_.begin(), classes_.end(),
                     [](const Class& of) { return !of.queue.empty(); });
}

// If all rails are as fast as they have been.
Duration RailSet::TimeLeft(MonotonicTime now) const {
  constexpr double kLongest = 3600;
  uint64_t bytes = 0;
  for (const Class& of : classes_) bytes += of.queue.bytes();
  const double rate = scheduler_.total_rate(now);
  if (rate == 0) return Duration::zero();
  return std::chrono::duration_cast<Duration>(std::chrono::duration<double>(
      std::min(kLongest, static_cast<double>(bytes) / rate)));
}

// What is urgent first, and of each kind all classes in turn.
void RailSet::Fill(MonotonicTime now) {
  const Duration time_left = TimeLeft(now);
  for (const bool bulk_too : {false, true}) {
    bool more = true;
    while (more) {
      more = false;
      if (++first_class_ >= classes_.size()) first_class_ = 0;
      for (size_t i = 0; i < classes_.size(); ++i) {
        Class& of = classes_[(first_class_ + i) % classes_.size()];
        more |= SendNext(of, time_left, bulk_too);
      }
    }
  }
  for (const auto& member : members_) Flush(*member);
}

// False: nothing waits, or there is no room for it.
bool RailSet::SendNext(Class& of, Duration time_left, bool bulk_too) {
  if (of.queue.empty()) return false;
  const MonotonicTime now = RealClock().Now();
  const Slice* const next = of.queue.Front(now, time_left, bulk_too);
  if (next == nullptr) return false;
  const std::optional<size_t> rail =
      scheduler_.Choose({.bytes = next->length,
                         .backlog = of.queue.bytes(),
                         .bulk = !of.queue.is_urgent(),
                         .near_rails = of.near_rails},
                        now);
  if (!rail) return false;
  Send(of, *rail, /*alone=*/next->bulk || scheduler_.IsTried(*rail), now);
  return true;
}

void RailSet::Send(Class& of, size_t rail, bool alone, MonotonicTime now) {
  Member& member = *members_[rail];
  const size_t first = member.group.size();
  const uint64_t advised = path_bytes_.load(std::memory_order_relaxed);
  const uint64_t bytes = of.queue.PopStretch(
      advised == 0 ? kStretchBytes : std::min(kStretchBytes, advised),
      alone ? 1 : kGroup - member.group.size(), member.group);
  for (size_t i = first; i < member.group.size(); ++i) {
    member.group[i]->rail = static_cast<uint8_t>(rail);
    member.group[i]->sink = this;
    member.group[i]->posted_at = {};
  }
  const RailModel::Mark mark = scheduler_.Posted(rail, bytes, now);
  // The last one will tell of all of them; but not of the time that a rail
  // takes to get ready.
  if (member.state == State::kReady) {
    Slice& last = *member.group.back();
    last.posted_at = mark.since;
    last.carried_before = mark.carried;
    last.alone = mark.alone;
  }
  of.sent = true;
  member.group_bytes += bytes;
  if (member.group.size() == kGroup) Flush(member);
}

void RailSet::Flush(Member& member) {
  if (member.group.empty()) return;
  member.posted += std::exchange(member.group_bytes, 0);
  poster_ = std::this_thread::get_id();
  member.rail->Post(member.group);
  poster_ = std::thread::id();
  member.group.clear();
}

// Has another rail get ready, if those that are have enough to do: a near one,
// unless none of those works.
void RailSet::PrepareMore(const Class& of, MonotonicTime now) {
  uint64_t near = 0;
  for (size_t i = 0; i < members_.size(); ++i) {
    if (members_[i]->state != State::kDown) near |= uint64_t{1} << i;
  }
  if ((near & of.near_rails) != 0) near &= of.near_rails;
  Member* candidate = nullptr;
  for (size_t i = 0; i < members_.size(); ++i) {
    Member& member = *members_[i];
    if (((near >> i) & 1) == 0) continue;
    if (member.state == State::kReady) {
      if (scheduler_.IsTrusted(i, now) &&
          scheduler_.rail(i).in_flight() + of.queue.bytes() < kBusyBytes) {
        return;
      }
    } else if (now < member.patience) {
      return;
    } else if (member.state == State::kIdle && candidate == nullptr &&
               now >= scheduler_.rail(i).paused_until()) {
      candidate = &member;
    }
  }
  if (candidate == nullptr) return;
  candidate->patience = now + kPatience;
  // It may give something back.
  poster_ = std::this_thread::get_id();
  candidate->rail->Prepare();
  poster_ = std::thread::id();
  states_seen_at_ = {};
}

// Whoever completes something calls the driver from now on, if anything waits.
void RailSet::SetWaiting() {
  const bool waiting = IsWaiting();
  waiting_ = waiting;
  if (!waiting) return;
  bool idle = false;
  for (size_t i = 0; i < members_.size(); ++i) {
    const uint64_t in_flight = scheduler_.rail(i).in_flight();
    Member& member = *members_[i];
    idle |= in_flight == 0;
    // When a quarter of it has come back.
    member.refill_at = member.posted - in_flight + (in_flight + 3) / 4;
    // It may have before anybody could know that.
    if (in_flight > 0 && member.returned >= member.refill_at) room_ = true;
  }
  // One has nothing to do because it pauses, or is too slow; that may change
  // without any completion.
  if (!idle || ticking_.exchange(true)) return;
  timers_.Schedule(DeadlineAfter(RealClock().Now(), kTick),
                   [weak = weak_from_this()] {
                     if (const auto self = weak.lock()) self->Tick();
                   });
}

}  // namespace te
