#ifndef TE_TRANSPORT_EXPOSED_MEMORY_H_
#define TE_TRANSPORT_EXPOSED_MEMORY_H_

#include <cstddef>
#include <cstdint>
#include <utility>

#include "absl/status/statusor.h"
#include "te/transport/slice.h"

namespace te {

// What a peer asks of this process's memory. Nothing in it is trusted.
struct RemoteAccess {
  Operation operation = Operation::kRead;
  uint64_t address = 0;
  uint64_t length = 0;
  // The registration that the peer believes it is using.
  uint64_t generation = 0;
};

// The memory of this process that peers may reach: every transport that serves
// accesses in software asks here before each of them. Thread-safe; Acquire and
// Release neither block nor allocate on success.
class ExposedMemory {
 public:
  // Keeps a buffer registered for as long as it exists. Released on any thread.
  class Pin {
   public:
    Pin() = default;
    Pin(ExposedMemory& memory, uint32_t slot, std::byte* data)
        : memory_(&memory), slot_(slot), data_(data) {}
    Pin(Pin&& other) noexcept { *this = std::move(other); }
    Pin& operator=(Pin&& other) noexcept {
      std::swap(memory_, other.memory_);
      std::swap(slot_, other.slot_);
      std::swap(data_, other.data_);
      return *this;
    }
    ~Pin() { Reset(); }

    void Reset() {
      if (memory_ != nullptr) std::exchange(memory_, nullptr)->Release(slot_);
    }
    // Where the access begins.
    std::byte* data() const { return data_; }

   private:
    ExposedMemory* memory_ = nullptr;
    uint32_t slot_ = 0;
    std::byte* data_ = nullptr;
  };

  virtual ~ExposedMemory() = default;

  // Checks bounds, access rights and generation. kPermissionDenied: the buffer
  // does not allow it; kNotFound: no such registration (any more); kOutOfRange:
  // it exceeds the registration.
  virtual absl::StatusOr<Pin> Acquire(const RemoteAccess& access) = 0;

 private:
  virtual void Release(uint32_t slot) = 0;
};

}  // namespace te

#endif  // TE_TRANSPORT_EXPOSED_MEMORY_H_
