#ifndef TE_CORE_BUFFER_REGISTRY_H_
#define TE_CORE_BUFFER_REGISTRY_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "te/base/clock.h"
#include "te/base/memory_location.h"
#include "te/base/mutex.h"
#include "te/core/range_map.h"
#include "te/core/request.h"
#include "te/metadata/buffer_table.h"
#include "te/metadata/transport_keys.h"
#include "te/topology/memory_placement.h"
#include "te/transport/exposed_memory.h"
#include "te/transport/local_memory.h"

namespace te {

// The registered memory of this process. Whoever moves bytes holds a pin on the
// buffer meanwhile; unregistering first refuses new pins and then waits for
// those that there are. Thread-safe. Pins are lock-free where the caller knows
// the buffer already: peers name it, and requests of a batch mostly share one.
//
// Must outlive all pins.
class BufferRegistry final : public ExposedMemory {
 public:
  // One use of a buffer, by requests of a batch.
  class LocalPin {
   public:
    LocalPin() = default;
    LocalPin(BufferRegistry& registry, BufferId id)
        : registry_(&registry), id_(id) {}
    LocalPin(LocalPin&& other) noexcept { *this = std::move(other); }
    LocalPin& operator=(LocalPin&& other) noexcept {
      std::swap(registry_, other.registry_);
      std::swap(id_, other.id_);
      return *this;
    }
    ~LocalPin() { Reset(); }
    void Reset() {
      if (registry_ != nullptr) {
        std::exchange(registry_, nullptr)->Release(SlotOf(id_));
      }
    }
    // The pinned buffer.
    BufferId id() const { return id_; }
    uint32_t slot() const { return SlotOf(id_); }
    // --- Not of an empty pin. ---

    // Whether the range is within the buffer.
    bool Contains(const void* address, uint64_t length) const {
      return registry_->slots_[slot()].Contains(
          reinterpret_cast<uint64_t>(address), length);
    }
    // Where a slice of it, of at least 1 byte, lies: where its owner said, or
    // where it was found at registration (MemoryPlacement::Of); "*" if that is
    // unknown. O(1), lock-free, without allocation.
    MemoryLocation LocationOf(const void* address, uint64_t length) const {
      const Slot& slot = registry_->slots_[SlotOf(id_)];
      if (slot.placement == nullptr) return slot.location;
      return slot.placement->Of(
          reinterpret_cast<uint64_t>(address) - slot.address, length);
    }

   private:
    friend class BufferRegistry;
    BufferRegistry* registry_ = nullptr;
    BufferId id_;
  };

  // The buffers that allow peers anything, as they were at one moment, with
  // those that came and went meanwhile or without.
  struct Description {
    BufferTable table;
    // Of the last change of each page, and of any: one count, which goes on in
    // the next registry of the name (FirstVersion).
    std::vector<uint64_t> page_versions;
    uint64_t version = 0;
  };

  // `max_buffers` is no more than a BufferTable shows. `placement` is how to
  // find out where buffers lie.
  explicit BufferRegistry(size_t max_buffers, PlacementOptions placement = {});
  // Every pin must have been released.
  ~BufferRegistry() override;

  // Makes a buffer known to the transports before anybody can pin it, and
  // returns what peers need to reach it.
  using Prepare =
      absl::FunctionRef<absl::StatusOr<TransportKeys>(const LocalMemory&)>;
  // Undoes that when nobody has a pin any more; not OK: not yet.
  using Dispose = absl::FunctionRef<absl::Status(uint32_t slot)>;

  // Finds out where the region lies, if its location leaves that open; a kernel
  // that does not tell is no error. kInvalidArgument: empty, null or wrapping
  // region; kResourceExhausted: as many buffers as there may be; and the errors
  // of `prepare`, after which nothing is registered. Calls that with no lock
  // held.
  absl::StatusOr<BufferId> Register(const MemoryRegion& region,
                                    Prepare prepare = NothingToPrepare);

  // Refuses new pins at once, waits for the last one to go, and calls
  // `dispose`, with no lock held and however long it takes. kNotFound: no such
  // buffer any more, perhaps since another caller has removed it, whose
  // `dispose` has ended then; kDeadlineExceeded: still pinned, and still
  // refusing; call again to go on waiting. So it is after an error of
  // `dispose`.
  absl::Status Unregister(BufferId id, MonotonicTime deadline,
                          Dispose dispose = NothingToDispose);

  // Calls that for all buffers that there still are: for the end, when nobody
  // uses the registry any more but those who release pins.
  void DisposeOfAll(absl::FunctionRef<void(uint32_t slot)> dispose);

  // Pins the buffer that contains the range. `hint` is a pin of the same batch,
  // or an empty one: a range in the same buffer costs no lock.
  absl::StatusOr<LocalPin> PinLocal(const void* address, uint64_t length,
                                    const LocalPin& hint);
  // For peers; see ExposedMemory.
  absl::StatusOr<Pin> Acquire(const RemoteAccess& access) override;

  // What peers are told. Looks at the pages that have changed since the last
  // call, and delays nobody else.
  Description Describe();
  // Where the count of Description begins.
  uint64_t first_version() const { return first_version_; }
  // Whether the buffer is registered, or being unregistered. Lock-free.
  bool Contains(BufferId id) const;
  // How many buffers are registered, or being registered or unregistered.
  size_t size() const;

 private:
  // 64 bytes, so that two buffers do not share a cache line.
  struct alignas(64) Slot {
    // Generation (32 bits), closing (1), pins (31). The other fields are
    // written before the state says open, by whoever took the slot from free_,
    // and read only under a pin or mutex_.
    std::atomic<uint64_t> state{0};
    uint64_t address = 0;
    uint64_t length = 0;
    MemoryLocation location;
    Access access = Access::kLocalOnly;
    // The last pin has gone, and somebody disposes of the buffer. Guarded by
    // mutex_.
    bool disposing = false;
    // If it lies in several places, or partly in unknown ones: location is "*".
    std::unique_ptr<const MemoryPlacement> placement;
    TransportKeys keys;

    bool Contains(uint64_t begin, uint64_t size) const {
      return begin >= address && size <= length &&
             begin - address <= length - size;
    }
  };
  static_assert(sizeof(Slot) == 64);

  static uint32_t SlotOf(BufferId id) {
    return static_cast<uint32_t>(id.value);
  }
  static absl::StatusOr<TransportKeys> NothingToPrepare(const LocalMemory&) {
    return TransportKeys();
  }
  static absl::Status NothingToDispose(uint32_t /*slot*/) {
    return absl::OkStatus();
  }
  static bool TryPin(Slot& slot, uint32_t generation);
  absl::StatusOr<uint32_t> Reserve();
  void FindPlacement(Slot& slot);
  // Where all of the buffer lies, else "*".
  static MemoryLocation SinglePlace(const Slot& slot);
  BufferId Open(uint32_t index);
  void Release(uint32_t slot) override;
  absl::Status Refuse(const RemoteAccess& access) const;
  absl::Status AwaitLastPin(BufferId id, MonotonicTime deadline)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // What peers are told of a slot is another thing now.
  void NoteChange(uint32_t index) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  BufferTable::SharedPage DescribePage(size_t page);

  const size_t max_buffers_;
  const uint64_t first_version_;
  const PlacementOptions placement_options_;
  const std::unique_ptr<Slot[]> slots_;
  // Whether the log says that the kernel does not tell where memory lies.
  std::atomic<bool> placement_warned_{false};

  mutable Mutex mutex_;
  // Told when the last pin of a closing buffer goes, and when it is free.
  CondVar drained_;
  // Taken from here, a slot is reserved: its state is still that of a free one,
  // so that nobody can pin it.
  std::vector<uint32_t> free_ ABSL_GUARDED_BY(mutex_);
  // As in Description, of now. Pages that no buffer has been in are left out.
  std::vector<uint64_t> page_versions_ ABSL_GUARDED_BY(mutex_);
  uint64_t version_ ABSL_GUARDED_BY(mutex_);
  // Slots by address, those that are closing excepted.
  RangeMap<uint32_t> by_address_ ABSL_GUARDED_BY(mutex_);

  // For one Describe at a time; taken before mutex_.
  Mutex describing_;
  Description described_ ABSL_GUARDED_BY(describing_);
};

}  // namespace te

#endif  // TE_CORE_BUFFER_REGISTRY_H_
