#include "te/rdma/endpoint_store.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "glog/logging.h"
#include "te/base/status_macros.h"

namespace te::rdma {
namespace {

// Between two looks at entries that cannot be evicted now.
constexpr Duration kPinnedPause = std::chrono::milliseconds(1);
// What was used since then is in use.
constexpr Duration kRecently = std::chrono::seconds(1);

}  // namespace

absl::Status EndpointStore::Full() const {
  return absl::ResourceExhaustedError(
      absl::StrCat("all ", limit_,
                   " endpoints are in use; raise max_endpoints, or close "
                   "segments that are not needed"));
}

absl::StatusOr<EndpointStore::Place> EndpointStore::Take(
    std::weak_ptr<Evictable> entry, MonotonicTime deadline, Need need) {
  while (true) {
    if (std::optional<Place> place = TryTake(entry)) return *std::move(place);
    bool pinned = false;
    const Candidate victim =
        need == Need::kSpare ? ChooseIdle() : Choose(pinned);
    if (victim.endpoint == nullptr && !pinned) return Full();
    if (victim.in_use) WarnOnce();
    if (victim.endpoint != nullptr) victim.endpoint->Evict();
    // Those that are pinned leave, or may be evicted soon, without notice.
    const MonotonicTime now = RealClock().Now();
    if (now >= deadline) return Full();
    MutexLock lock(mutex_);
    if (entries_.size() < limit_) continue;
    left_.WaitUntil(mutex_, victim.endpoint != nullptr
                                ? deadline
                                : std::min(deadline, now + kPinnedPause));
  }
}

std::optional<EndpointStore::Place> EndpointStore::TryTake(
    const std::weak_ptr<Evictable>& entry) {
  MutexLock lock(mutex_);
  if (entries_.size() >= limit_) return std::nullopt;
  const MonotonicTime now = clock_.Now();
  return Place(*this, entries_.insert(entries_.end(), {.endpoint = entry,
                                                       .found_used = now,
                                                       .used_after = now}));
}

// The entry under the hand, which moves on; none if it is a peer's.
EndpointStore::Candidate EndpointStore::NextCandidate() {
  Candidate candidate;
  MutexLock lock(mutex_);
  if (hand_ == entries_.end()) hand_ = entries_.begin();
  if (hand_ == entries_.end()) return candidate;
  Entry& entry = *hand_;
  ++hand_;
  candidate.endpoint = entry.endpoint.lock();
  if (candidate.endpoint == nullptr) return candidate;
  const MonotonicTime now = clock_.Now();
  candidate.use = candidate.endpoint->TakeUse();
  if (candidate.use == Use::kSome) {
    entry.used_after = std::exchange(entry.found_used, now);
  }
  candidate.in_use = now - entry.used_after < kRecently;
  candidate.idle =
      candidate.use == Use::kNone && now - entry.found_used >= kRecently;
  return candidate;
}

// The one to evict; none if there is none, `pinned` telling whether there may
// be soon.
EndpointStore::Candidate EndpointStore::Choose(bool& pinned) {
  // In the second round nobody has a flag that is older than this call. Those
  // who still have one are used all the time, and one of them must go.
  const size_t steps = 2 * size();
  Candidate last;
  for (size_t i = 0; i < steps; ++i) {
    Candidate candidate = NextCandidate();
    if (candidate.endpoint == nullptr) continue;
    if (candidate.use == Use::kNone) return candidate;
    pinned |= candidate.use == Use::kPinned;
    if (candidate.use == Use::kSome) last = std::move(candidate);
  }
  return last;
}

// One that nobody will miss; none if there is none.
EndpointStore::Candidate EndpointStore::ChooseIdle() {
  const size_t steps = size();
  for (size_t i = 0; i < steps; ++i) {
    Candidate candidate = NextCandidate();
    if (candidate.endpoint != nullptr && candidate.idle) return candidate;
  }
  return {};
}

// It would say the same each time.
void EndpointStore::WarnOnce() {
  size_t peers = 0;
  {
    MutexLock lock(mutex_);
    if (std::exchange(warned_, true)) return;
    for (const Entry& entry : entries_) {
      peers += entry.endpoint.expired() ? 1 : 0;
    }
  }
  LOG(WARNING) << "max_endpoints is too small: all " << limit_
               << " endpoints are in use, " << peers
               << " of them by peers, and one that was opened or used within "
                  "the last second is closed to make room for another. Set "
                  "max_endpoints to the number of peers times the devices of "
                  "the end that has more of them, and to twice that if peers "
                  "open segments of this engine";
}

void EndpointStore::Leave(Entries::iterator entry) {
  MutexLock lock(mutex_);
  if (hand_ == entry) ++hand_;
  entries_.erase(entry);
  left_.NotifyAll();
}

size_t EndpointStore::size() const {
  MutexLock lock(mutex_);
  return entries_.size();
}

}  // namespace te::rdma
