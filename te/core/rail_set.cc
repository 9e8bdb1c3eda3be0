// Rails as one, and their end.

#include "te/core/rail_set.h"

#include <sched.h>

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "glog/logging.h"

namespace te {
namespace {

void GiveBack(SliceList slices, const absl::Status& status) {
  while (!slices.empty()) {
    Slice& slice = slices.PopFront();
    // It may be gone after Done.
    slice.owner->Done(slice, status);
  }
}

}  // namespace

RailSet::RailSet(Rails rails, const RailScheduler::Options& options,
                 std::shared_ptr<ShortTraffic> short_traffic, TaskQueue& timers)
    : tight_time_(options.tight_time),
      short_traffic_(std::move(short_traffic)),
      timers_(timers),
      scheduler_(options, short_traffic_) {
  constexpr size_t kMost = RailScheduler::kMaxRails;
  LOG_IF(WARNING, rails.size() > kMost)
      << "of " << rails.size() << " rails to a peer " << kMost << " are used";
  for (std::shared_ptr<Rail>& rail : rails) {
    if (members_.size() == kMost) break;
    scheduler_.AddRail(rail->link_rate());
    members_.push_back(std::make_unique<Member>());
    members_.back()->group.reserve(kGroup);
    members_.back()->rail = std::move(rail);
  }
}

Rail::State RailSet::state() const {
  if (failed_) return State::kDown;
  State best = State::kDown;
  for (const auto& member : members_) {
    best = std::min(best, member->rail->state());
  }
  return best;
}

SliceAdvice RailSet::slice_advice() const {
  const bool tight = short_traffic_->IsAbout(RealClock().Now(), tight_time_);
  return {
      .bytes = path_bytes_.load(std::memory_order_relaxed) / (tight ? 2 : 1),
      .rails = static_cast<uint32_t>(members_.size())};
}

void RailSet::BeginPolling() {
  for (const auto& member : members_) member->rail->BeginPolling();
}

void RailSet::EndPolling() {
  for (const auto& member : members_) member->rail->EndPolling();
}

// Each of them, as nobody else does between BeginPolling and EndPolling: also
// those that carry nothing, but may be waiting for an answer to get ready.
Progress RailSet::Poll() {
  bool moved = false;
  bool idle = false;
  bool busy = false;
  for (const auto& member : members_) {
    const Progress progress = member->rail->Poll();
    moved |= progress == Progress::kMoved;
    if (!member->under_way()) continue;
    idle |= progress == Progress::kIdle;
    busy |= progress == Progress::kBusy;
  }
  if (moved) return Progress::kMoved;
  return busy && !idle ? Progress::kBusy : Progress::kIdle;
}

void RailSet::Withdraw(absl::FunctionRef<bool(const Slice&)> matches,
                       const absl::Status& status) {
  ++drivers_;
  driving_.Take();
  Sort();
  SliceList withdrawn;
  for (Class& of : classes_) withdrawn.Append(of.queue.Remove(matches));
  driving_.Pass();
  GiveBack(std::move(withdrawn), status);
  --drivers_;
  for (const auto& member : members_) member->rail->Withdraw(matches, status);
  Drive();
}

SliceList RailSet::TakeAll() {
  SliceList all = inbox_.TakeAll();
  for (Class& of : classes_) all.Append(of.queue.TakeAll());
  return all;
}

void RailSet::SetFailed(const absl::Status& why) {
  MutexLock lock(mutex_);
  if (!health_.ok()) return;
  health_ = why;
  failed_ = true;
}

absl::Status RailSet::NoRailWorks() const {
  std::vector<std::string> reasons;
  for (const auto& member : members_) {
    const absl::Status health = member->rail->health();
    if (!health.ok()) return health;
    const absl::Status why = member->rail->why_down();
    // Often they are down alike.
    if (!why.ok() && (reasons.empty() || reasons.back() != why.message())) {
      reasons.emplace_back(why.message());
    }
  }
  if (reasons.empty()) reasons = {"each is down or could not be set up"};
  return absl::UnavailableError(absl::StrCat("no rail works: ", name(), ": ",
                                             absl::StrJoin(reasons, "; ")));
}

// Besides their own failure that of the rails, which may come before anybody
// posts.
absl::Status RailSet::health() const {
  {
    MutexLock lock(mutex_);
    if (!health_.ok()) return health_;
  }
  absl::Status first;
  for (const auto& member : members_) {
    const absl::Status health = member->rail->health();
    if (health.ok()) return health;
    if (first.ok()) first = health;
  }
  return first;
}

std::string RailSet::name() const {
  std::vector<std::string> names;
  for (const auto& member : members_) {
    // What has never been used says little.
    if (members_.size() == 1 || member->rail->state() == State::kReady) {
      names.push_back(member->rail->name());
    }
  }
  if (names.empty()) return members_[0]->rail->name();
  return absl::StrJoin(names, "; ");
}

bool RailSet::IsUnderWay() const {
  for (const auto& member : members_) {
    if (member->under_way()) return true;
  }
  return false;
}

void RailSet::Close(const absl::Status& why) {
  SetFailed(why);
  bool quiet = false;
  while (!quiet) {
    Drive();
    // In the order in which slices go on.
    const bool empty = inbox_.empty();
    quiet = empty && drivers_ == 0 && !IsUnderWay();
    // Also when it is: what has been given back may still be on its way through
    // here, for which the rails wait.
    for (const auto& member : members_) member->rail->Close(why);
    if (!quiet) sched_yield();
  }
}

void RailSet::Drive() {
  ++drivers_;
  do {
    if (!driving_.TryTake()) break;
    room_ = false;
    SliceList orphaned;
    if (!failed_) DriveOnce();
    if (failed_) orphaned.Append(TakeAll());
    SliceList done;
    done.Append(std::move(done_));
    std::vector<Return> returns;
    if (!returns_.empty()) returns.swap(returns_);
    driving_.Pass();
    GiveBack(std::move(done), absl::OkStatus());
    if (!orphaned.empty()) GiveBack(std::move(orphaned), health());
    for (Return& back : returns) {
      back.slice->owner->Done(*back.slice, std::move(back.status));
    }
  } while (room_ || !inbox_.empty());
  --drivers_;
}

void RailSet::Tick() {
  ticking_ = false;
  room_ = true;
  Drive();
}

}  // namespace te
