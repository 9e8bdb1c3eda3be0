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
  // What the store asks of its entries. Called with no lock of the store held.
  class Evictable {
   public:
    // How it was used since the last call.
    virtual Use TakeUse() = 0;
    // Drains and closes it, soon, which gives back its place.
    virtual void Evict() = 0;

   protected:
    ~Evictable() = default;
  };

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
    using Entry = std::list<std::weak_ptr<Evictable>>::iterator;
    Place(EndpointStore& store, Entry entry) : store_(&store), entry_(entry) {}

    EndpointStore* store_ = nullptr;
    Entry entry_;
  };

  explicit EndpointStore(size_t limit) : limit_(limit) {}

  // A place. If all are taken, has another entry evicted, and waits until
  // `deadline` for its place. `entry` may be null: it is a peer's, and cannot
  // be evicted. RESOURCE_EXHAUSTED if none can, or none has left in time.
  absl::StatusOr<Place> Take(std::weak_ptr<Evictable> entry,
                             MonotonicTime deadline);

  // How many places are taken.
  size_t size() const;

 private:
  using Entries = std::list<std::weak_ptr<Evictable>>;

  void Leave(Entries::iterator entry);
  std::shared_ptr<Evictable> NextCandidate()
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  std::shared_ptr<Evictable> Choose(bool& pinned) ABSL_LOCKS_EXCLUDED(mutex_);
  std::optional<Place> TryTake(const std::weak_ptr<Evictable>& entry);
  absl::Status Full() const;

  const size_t limit_;
  mutable Mutex mutex_;
  CondVar left_;
  // The oldest first; those of peers have no pointer.
  Entries entries_ ABSL_GUARDED_BY(mutex_);
  // Where the hand stands: the next that it looks at.
  Entries::iterator hand_ ABSL_GUARDED_BY(mutex_) = entries_.end();
};

}  // namespace te::rdma

#endif  // TE_RDMA_ENDPOINT_STORE_H_
