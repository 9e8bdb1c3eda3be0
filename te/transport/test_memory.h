#ifndef TE_TRANSPORT_TEST_MEMORY_H_
#define TE_TRANSPORT_TEST_MEMORY_H_

#include <cstddef>
#include <cstdint>
#include <map>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "te/base/clock.h"
#include "te/base/mutex.h"
#include "te/transport/exposed_memory.h"

namespace te {

// Memory that peers may reach, for tests of transports. Counts the pins, so
// that a test sees when a transport has let go. Thread-safe.
class TestMemory final : public ExposedMemory {
 public:
  enum class Rights { kRead, kWrite, kBoth };

  // Returns the generation of the new range.
  uint64_t Add(absl::Span<std::byte> range, Rights rights) {
    MutexLock lock(mutex_);
    ranges_[++last_] = {.data = range, .rights = rights};
    return last_;
  }
  void Remove(uint64_t generation) {
    MutexLock lock(mutex_);
    ranges_.erase(generation);
  }

  // How many accesses are under way.
  int pins() const {
    MutexLock lock(mutex_);
    return pins_;
  }
  // Waits until there are so many; false when `deadline` has passed first.
  bool AwaitPins(int pins, MonotonicTime deadline) {
    MutexLock lock(mutex_);
    while (pins_ != pins) {
      if (!changed_.WaitUntil(mutex_, deadline)) return pins_ == pins;
    }
    return true;
  }

  absl::StatusOr<Pin> Acquire(const RemoteAccess& access) override {
    MutexLock lock(mutex_);
    const auto found = ranges_.find(access.generation);
    if (found == ranges_.end()) return absl::NotFoundError("no such range");
    const Rights wanted =
        access.operation == Operation::kRead ? Rights::kRead : Rights::kWrite;
    const Range& range = found->second;
    if (range.rights != Rights::kBoth && range.rights != wanted) {
      return absl::PermissionDeniedError("not allowed");
    }
    const auto begin = reinterpret_cast<uint64_t>(range.data.data());
    const uint64_t length = range.data.size();
    if (access.address < begin || access.length > length ||
        access.address - begin > length - access.length) {
      return absl::OutOfRangeError("out of bounds");
    }
    ++pins_;
    changed_.NotifyAll();
    return Pin(*this, 0, reinterpret_cast<std::byte*>(access.address));
  }

 private:
  struct Range {
    absl::Span<std::byte> data;
    Rights rights;
  };

  void Release(uint32_t /*slot*/) override {
    MutexLock lock(mutex_);
    --pins_;
    changed_.NotifyAll();
  }

  mutable Mutex mutex_;
  CondVar changed_;
  std::map<uint64_t, Range> ranges_ ABSL_GUARDED_BY(mutex_);
  uint64_t last_ ABSL_GUARDED_BY(mutex_) = 0;
  int pins_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace te

#endif  // TE_TRANSPORT_TEST_MEMORY_H_
