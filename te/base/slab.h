#ifndef TE_BASE_SLAB_H_
#define TE_BASE_SLAB_H_

#include <stddef.h>
#include <stdint.h>

#include <atomic>
#include <memory>
#include <optional>
#include <vector>

#include "absl/base/attributes.h"
#include "absl/base/thread_annotations.h"
#include "glog/logging.h"
#include "te/base/mutex.h"

namespace te {

// Names one use of one place of a Slab. A handle that outlived its object is
// recognised, which a pointer would not be. A value type; the default one names
// nothing.
struct SlabHandle {
  uint32_t index = 0;
  uint32_t generation = 0;  // odd while the object is in use

  // One number for wr_ids, wire frames and API handles; zero only for the
  // default handle.
  uint64_t Pack() const {
    return (static_cast<uint64_t>(generation) << 32) | index;
  }
  static SlabHandle Unpack(uint64_t packed) {
    return {.index = static_cast<uint32_t>(packed),
            .generation = static_cast<uint32_t>(packed >> 32)};
  }

  friend bool operator==(const SlabHandle&, const SlabHandle&) = default;
};

// A fixed number of T, made once, lent out and taken back, so that the hot path
// allocates nothing and the number of objects is bounded. Objects are not
// destroyed when released: the next user finds the old contents (vectors keep
// their capacity) and resets what he needs.
//
// Thread-safe. Acquire and Release take a short lock; Get takes none. The slab
// does not count users: whoever releases an object makes sure that nobody uses
// a pointer to it any more. A generation comes round after 2^31 uses of the
// same place; an even older handle could be taken for a fresh one.
//
// The owner must release, or forget, every object before the slab is destroyed.
template <typename T>
class Slab {
 public:
  struct Acquired {
    T* object;
    SlabHandle handle;
  };

  // Makes `capacity` objects with T's default constructor; 1 to 2^32 - 1.
  explicit Slab(size_t capacity)
      : capacity_(capacity), places_(std::make_unique<Place[]>(capacity)) {
    CHECK_GT(capacity, 0u);
    CHECK_LE(capacity, UINT32_MAX);
    MutexLock lock(mutex_);
    free_.reserve(capacity);
    // The last one freed is lent first: it is still in the cache.
    for (size_t i = capacity; i > 0; --i) {
      free_.push_back(static_cast<uint32_t>(i - 1));
    }
  }
  Slab(const Slab&) = delete;
  Slab& operator=(const Slab&) = delete;

  // Lends an object; nullopt when all are lent.
  std::optional<Acquired> Acquire() ABSL_ATTRIBUTE_LIFETIME_BOUND
      ABSL_LOCKS_EXCLUDED(mutex_) {
    MutexLock lock(mutex_);
    if (free_.empty()) return std::nullopt;
    uint32_t index = free_.back();
    free_.pop_back();
    Place& place = places_[index];
    // Only this lock's holder changes it, so the read may be relaxed. The store
    // releases, so that a Get of another thread sees what the previous user
    // left.
    uint32_t generation = place.generation.load(std::memory_order_relaxed) + 1;
    place.generation.store(generation, std::memory_order_release);
    return Acquired{.object = &place.object,
                    .handle = {.index = index, .generation = generation}};
  }

  // The object, or nullptr when the handle is stale or was never valid: peers'
  // bytes may be looked up as they are.
  T* Get(SlabHandle handle) ABSL_ATTRIBUTE_LIFETIME_BOUND {
    if (!IsLive(handle)) return nullptr;
    return &places_[handle.index].object;
  }

  // Takes the object back. False, and nothing happens, when the handle is
  // stale.
  bool Release(SlabHandle handle) ABSL_LOCKS_EXCLUDED(mutex_) {
    MutexLock lock(mutex_);
    if (!IsLive(handle)) return false;
    places_[handle.index].generation.store(handle.generation + 1,
                                           std::memory_order_release);
    free_.push_back(handle.index);
    return true;
  }

  // The object at an index, lent or not, for scans: the object itself must tell
  // whether it may be looked at.
  T& at(size_t index) ABSL_ATTRIBUTE_LIFETIME_BOUND {
    return places_[index].object;
  }

  size_t capacity() const { return capacity_; }
  // How many are lent now.
  size_t size() const ABSL_LOCKS_EXCLUDED(mutex_) {
    MutexLock lock(mutex_);
    return capacity_ - free_.size();
  }

 private:
  struct Place {
    T object{};
    std::atomic<uint32_t> generation = 0;  // even: free
  };

  bool IsLive(SlabHandle handle) const {
    // Acquire pairs with the release in Acquire().
    return handle.generation % 2 == 1 && handle.index < capacity_ &&
           places_[handle.index].generation.load(std::memory_order_acquire) ==
               handle.generation;
  }

  const size_t capacity_;
  const std::unique_ptr<Place[]> places_;
  mutable Mutex mutex_;
  std::vector<uint32_t> free_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace te

#endif  // TE_BASE_SLAB_H_
