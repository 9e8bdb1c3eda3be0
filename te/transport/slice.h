#ifndef TE_TRANSPORT_SLICE_H_
#define TE_TRANSPORT_SLICE_H_

#include <cstddef>
#include <cstdint>
#include <type_traits>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "te/base/clock.h"
#include "te/base/memory_location.h"

namespace te {

enum class Operation : uint8_t {
  kRead,   // remote memory to local memory
  kWrite,  // local memory to remote memory
};

class CompletionSink;

// The unit of work that a transport sees: one contiguous piece of a request,
// within one local and one remote buffer.
//
// A slice belongs to its batch and does not move. From Post until the sink's
// Done it is lent to the rail, which alone may touch `next`.
struct Slice {
  Operation operation = Operation::kRead;
  // A part of a long request, which gives way to short ones.
  bool bulk = false;
  // Next to nothing else was under way on its rail when it was posted: as
  // posted_at.
  bool alone = false;
  // Which of several transports, and of a transport's rails, it goes over: for
  // who chooses among them, not for the transport.
  uint8_t transport = 0;
  uint8_t rail = 0;
  // Where the local memory lies; "*" if that is unknown.
  MemoryLocation local_location;
  // Index of the request in its batch: for the sink, not for the transport.
  uint32_t request = 0;
  // Of the local buffer: LocalMemory::slot.
  uint32_t local_slot = 0;
  std::byte* local = nullptr;
  uint64_t remote_address = 0;
  // Bytes; at least 1, at most kMaxSliceBytes.
  uint32_t length = 0;
  // How often the slice has been posted before.
  uint32_t attempts = 0;
  // Which registration at the peer this is aimed at, as its descriptor says.
  uint64_t remote_generation = 0;
  // What RegisterMemory of the peer's transport returned for the remote buffer,
  // as its descriptor says: bytes that nobody has checked. Empty where the
  // transport needs none. Valid while the slice is lent to the rail.
  absl::string_view remote_key;
  // When its request is to have ended.
  MonotonicTime deadline = kNoDeadline;
  // Since when what its rail carries counts, and what that had carried until
  // then: for who chooses among rails, who may leave them out
  // (RailModel::Mark).
  MonotonicTime posted_at;
  uint64_t carried_before = 0;
  // Who gets it back from the rail, and whose it is: the same, unless somebody
  // stands between the two.
  CompletionSink* sink = nullptr;
  CompletionSink* owner = nullptr;
  Slice* next = nullptr;
};

// Batches keep them in vectors, which grow.
static_assert(std::is_trivially_copyable_v<Slice>);

inline constexpr uint32_t kMaxSliceBytes = 64u << 20;

// Takes each slice back, exactly once per Post.
class CompletionSink {
 public:
  // `status` OK means done: a WRITE's bytes are in the remote memory, a READ's
  // in the local memory. With any status the transport no longer touches the
  // local memory, nor will bytes it sent before overtake what is posted after.
  // kUnavailable says that another rail, or this peer later, may succeed;
  // kAborted the same, and that this side has closed the rail; any other error
  // is the request's own. May be called on any thread, including inside Post,
  // and must not block; it may call the rail back, but for Close.
  virtual void Done(Slice& slice, absl::Status status) = 0;

 protected:
  ~CompletionSink() = default;
};

}  // namespace te

#endif  // TE_TRANSPORT_SLICE_H_
