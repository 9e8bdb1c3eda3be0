#ifndef TE_RDMA_ENDPOINT_STORE_H_
#define TE_RDMA_ENDPOINT_STORE_H_

#include <cstddef>
#include <list>
#include <memory>
#include <optional>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "te/base/clock.h"
#include "te/base/mutex.h"

namespace te::rdma {

// The endpoints that an engine has open, of which there is a hard limit: those
// that it opened itself, which can be closed and opened again, and those that
// peers have opened, which only they can give up.
//
// When there is need for one more, an own one is closed that has not been used
// lately, by SIEVE (Zhang et al., "SIEVE is Simpler than LRU: an Efficient
// Turn-Key Eviction Algorithm for Web Caches", NSDI 2024): a hand goes from the
// oldest to the newest, lets those stay that were used since it came by last,
// and takes the first that was not. A use costs a flag, and no lock.
//
// Where more are in use than there may be, each that is opened costs another
// one, which will be missed at once: that is logged, and who could do without
// had better not ask for it (Need::kSpare).
//
// Thread-safe.
class EndpointStore {
 public:
  enum class Use {
    // Not since the last question.
    kNone,
    kSome,
    // It cannot be evicted now: it is being opened, or leaves already.
    kPinned,
  };
  enum class Need {
    // There is no other way to a peer: one of the others has to go.
    kRequired,
    // There is one: only a place that is free will do, or one of an endpoint
    // that has not been used for a second.
    kSpare,
  };
  // What the store asks of its entries.
  class Evictable {
   public:
    // How it was used since the last call. Must not block, or call the store.
    virtual Use TakeUse() = 0;
    // Drains and closes it, soon, which gives back its place. Called with no
    // lock of the store held.
    virtual void Evict() = 0;

   protected:
    ~Evictable() = default;
  };

  // One that has a place; of peers it has no pointer.
  struct Entry {
    std::weak_ptr<Evictable> endpoint;
    // When it was found to have been used, the last time and the time before:
    // in between it was. To begin with, when it came.
    MonotonicTime found_used;
    MonotonicTime used_after;
  };
  using Entries = std::list<Entry>;

  // The place of one endpoint. Movable; a moved-from or default-made one is
  // none. Goes before the store.
  class Place {
   public:
    Place() = default;
    Place(Place&& other) noexcept { *this = std::move(other); }
    Place& operator=(Place&& other) noexcept {
      std::swap(store_, other.store_);
      std::swap(entry_, other.entry_);
      return *this;
    }
    ~Place() {
      if (store_ != nullptr) store_->Leave(entry_);
    }

   private:
    friend class EndpointStore;
    Place(EndpointStore& store, Entries::iterator entry)
        : store_(&store), entry_(entry) {}

    EndpointStore* store_ = nullptr;
    Entries::iterator entry_;
  };

  // `clock` tells when entries were used, and outlives the store.
  explicit EndpointStore(size_t limit, const Clock& clock = RealClock())
      : limit_(limit), clock_(clock) {}

  // A place. If all are taken, has another entry evicted, and waits until
  // `deadline` for its place. `entry` may be null: it is a peer's, and cannot
  // be evicted. RESOURCE_EXHAUSTED if none can, or none has left in time.
  absl::StatusOr<Place> Take(std::weak_ptr<Evictable> entry,
                             MonotonicTime deadline,
                             Need need = Need::kRequired);

  // How many places are taken.
  size_t size() const;

 private:
  // One that may be evicted; or none.
  struct Candidate {
    std::shared_ptr<Evictable> endpoint;
    Use use = Use::kNone;
    // Whether it was used within the last second, and whether it was not. As
    // uses have no time, neither may be known.
    bool in_use = false;
    bool idle = false;
  };

  void Leave(Entries::iterator entry);
  Candidate NextCandidate() ABSL_LOCKS_EXCLUDED(mutex_);
  Candidate Choose(bool& pinned) ABSL_LOCKS_EXCLUDED(mutex_);
  Candidate ChooseIdle() ABSL_LOCKS_EXCLUDED(mutex_);
  void WarnOnce() ABSL_LOCKS_EXCLUDED(mutex_);
  std::optional<Place> TryTake(const std::weak_ptr<Evictable>& entry);
  absl::Status Full() const;

  const size_t limit_;
  const Clock& clock_;
  mutable Mutex mutex_;
  CondVar left_;
  // The oldest first.
  Entries entries_ ABSL_GUARDED_BY(mutex_);
  // Where the hand stands: the next that it looks at.
  Entries::iterator hand_ ABSL_GUARDED_BY(mutex_) = entries_.end();
  bool warned_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace te::rdma

#endif  // TE_RDMA_ENDPOINT_STORE_H_
