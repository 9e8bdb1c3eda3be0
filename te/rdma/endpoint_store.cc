#include "te/rdma/endpoint_store.h"

#include <algorithm>
#include <chrono>

#include "absl/strings/str_cat.h"
#include "te/base/status_macros.h"

namespace te::rdma {
namespace {

// Between two looks at entries that cannot be evicted now.
constexpr Duration kPinnedPause = std::chrono::milliseconds(1);

}  // namespace

absl::Status EndpointStore::Full() const {
  return absl::ResourceExhaustedError(
      absl::StrCat("all ", limit_,
                   " endpoints are in use; raise max_endpoints, or close "
                   "segments that are not needed"));
}

absl::StatusOr<EndpointStore::Place> EndpointStore::Take(
    std::weak_ptr<Evictable> entry, MonotonicTime deadline) {
  while (true) {
    if (std::optional<Place> place = TryTake(entry)) return *std::move(place);
    bool pinned = false;
    const std::shared_ptr<Evictable> victim = Choose(pinned);
    if (victim == nullptr && !pinned) return Full();
    if (victim != nullptr) victim->Evict();
    // Those that are pinned leave, or may be evicted soon, without notice.
    const MonotonicTime now = RealClock().Now();
    if (now >= deadline) return Full();
    MutexLock lock(mutex_);
    if (entries_.size() < limit_) continue;
    left_.WaitUntil(mutex_, victim != nullptr
                                ? deadline
                                : std::min(deadline, now + kPinnedPause));
  }
}

std::optional<EndpointStore::Place> EndpointStore::TryTake(
    const std::weak_ptr<Evictable>& entry) {
  MutexLock lock(mutex_);
  if (entries_.size() >= limit_) return std::nullopt;
  return Place(*this, entries_.insert(entries_.end(), entry));
}

// The entry under the hand, which moves on; null if it is a peer's.
std::shared_ptr<EndpointStore::Evictable> EndpointStore::NextCandidate() {
  if (hand_ == entries_.end()) hand_ = entries_.begin();
  if (hand_ == entries_.end()) return nullptr;
  std::shared_ptr<Evictable> candidate = hand_->lock();
  ++hand_;
  return candidate;
}

// The one to evict; null if there is none, `pinned` telling whether there may
// be soon.
std::shared_ptr<EndpointStore::Evictable> EndpointStore::Choose(bool& pinned) {
  // In the second round nobody has a flag that is older than this call. Those
  // who still have one are used all the time, and one of them must go.
  const size_t steps = 2 * size();
  std::shared_ptr<Evictable> last;
  for (size_t i = 0; i < steps; ++i) {
    std::shared_ptr<Evictable> candidate;
    {
      MutexLock lock(mutex_);
      candidate = NextCandidate();
    }
    if (candidate == nullptr) continue;
    const Use use = candidate->TakeUse();
    if (use == Use::kNone) return candidate;
    if (use == Use::kSome) last = std::move(candidate);
    pinned |= use == Use::kPinned;
  }
  return last;
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
