#ifndef TE_CORE_SLICE_QUEUE_H_
#define TE_CORE_SLICE_QUEUE_H_

#include <cstddef>
#include <cstdint>
#include <vector>

#include "absl/functional/function_ref.h"
#include "te/base/clock.h"
#include "te/transport/slice.h"
#include "te/transport/slice_list.h"

namespace te {

// Slices that wait for a rail, and which of them goes next. Used by one thread
// at a time; allocates only when there are more flows than ever before.
//
// What one batch posts at a time is one flow, or two: its short requests and
// its long ones. Short requests go first, but long ones get an eighth of the
// bytes in any case. Flows of a kind take turns; where time is so short that
// the earliest deadline might be missed that way, they go in the order of their
// deadlines.
class SliceQueue {
 public:
  SliceQueue() = default;
  SliceQueue(SliceQueue&&) = default;

  // In order. Those in a row of the same owner and kind become a flow.
  void Push(SliceList slices);

  bool empty() const { return short_.flows.empty() && bulk_.flows.empty(); }
  // What waits, in bytes.
  uint64_t bytes() const { return short_.bytes + bulk_.bytes; }

  // The next one, which stays so until it is taken or something is pushed; null
  // if there is none. `time_left`: how long it takes until all of them are
  // sent. Without `bulk_too`: of short requests, or of long ones that are owed
  // something.
  Slice* Front(MonotonicTime now, Duration time_left, bool bulk_too = true);
  // Whether what Front has chosen is to be quick: short, or owed.
  bool is_urgent() const { return !bulk_next_ || is_owed_; }
  // Takes it.
  Slice& Pop();
  // Takes it and those behind it in its flow, as long as there are no more than
  // `count` and `bytes`; appends them to `taken`. Returns their bytes.
  uint64_t PopStretch(uint64_t bytes, size_t count, std::vector<Slice*>& taken);

  // Takes those that match, in no particular order.
  SliceList Remove(absl::FunctionRef<bool(const Slice&)> matches);
  SliceList TakeAll();

 private:
  struct Flow {
    Slice* head = nullptr;
    Slice* tail = nullptr;
    MonotonicTime deadline;
  };
  struct Class {
    // What a flow may send before it is another one's turn.
    const uint64_t turn_bytes;
    // By deadline.
    std::vector<Flow> flows;
    uint64_t bytes = 0;
    // Whose turn it is, and how much of it is left.
    size_t turn = 0;
    uint64_t turn_left = turn_bytes;
    // What Front has chosen.
    size_t next = 0;
  };

  static void Insert(Class& into, const Flow& flow);
  // What Front has chosen.
  Flow& Next() {
    Class& of = bulk_next_ ? bulk_ : short_;
    return of.flows[of.next];
  }
  // So much of what Front has chosen has been taken.
  void Account(uint64_t bytes);
  static void Account(Class& from, uint64_t bytes);

  Class short_{.turn_bytes = uint64_t{64} << 10};
  Class bulk_{.turn_bytes = uint64_t{4} << 20};
  // What Front has chosen.
  bool bulk_next_ = false;
  bool is_owed_ = false;
  // Bytes that long requests are owed, while both kinds wait: grows with what
  // short ones get.
  int64_t owed_ = 0;
};

}  // namespace te

#endif  // TE_CORE_SLICE_QUEUE_H_
