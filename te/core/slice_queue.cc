#include "te/core/slice_queue.h"

#include <algorithm>
#include <utility>

namespace te {
namespace {

// Long requests get at least one byte of so many.
constexpr uint64_t kShare = 8;
// From so much on that they are owed.
constexpr int64_t kOwed = 256 << 10;

}  // namespace

void SliceQueue::Push(SliceList slices) {
  while (!slices.empty()) {
    Flow flow;
    flow.head = flow.tail = &slices.PopFront();
    flow.deadline = flow.head->deadline;
    Class& into = flow.head->bulk ? bulk_ : short_;
    into.bytes += flow.head->length;
    while (!slices.empty() && slices.front()->owner == flow.head->owner &&
           slices.front()->bulk == flow.head->bulk) {
      Slice& next = slices.PopFront();
      into.bytes += next.length;
      flow.tail->next = &next;
      flow.tail = &next;
    }
    flow.tail->next = nullptr;
    Insert(into, flow);
  }
}

// Mostly at the end: deadlines grow with time.
void SliceQueue::Insert(Class& into, const Flow& flow) {
  const auto place =
      std::upper_bound(into.flows.begin(), into.flows.end(), flow.deadline,
                       [](MonotonicTime deadline, const Flow& f) {
                         return deadline < f.deadline;
                       });
  const auto index = static_cast<size_t>(place - into.flows.begin());
  into.flows.insert(place, flow);
  // It stays the turn of the same one.
  if (index <= into.turn && into.flows.size() > 1) ++into.turn;
}

Slice* SliceQueue::Front(MonotonicTime now, Duration time_left, bool bulk_too) {
  is_owed_ = !bulk_.flows.empty() && owed_ >= kOwed;
  bulk_next_ = is_owed_ || (bulk_too && short_.flows.empty());
  Class& of = bulk_next_ ? bulk_ : short_;
  if (of.flows.empty()) return nullptr;
  if (of.turn >= of.flows.size()) of.turn = 0;
  const bool late = of.flows.front().deadline - now <= time_left;
  of.next = late ? 0 : of.turn;
  return of.flows[of.next].head;
}

Slice& SliceQueue::Pop() {
  Flow& flow = Next();
  Slice& slice = *flow.head;
  flow.head = slice.next;
  Account(slice.length);
  return slice;
}

uint64_t SliceQueue::PopStretch(uint64_t bytes, size_t count,
                                std::vector<Slice*>& taken) {
  Flow& flow = Next();
  uint64_t sum = 0;
  do {
    sum += flow.head->length;
    taken.push_back(flow.head);
    flow.head = flow.head->next;
  } while (--count > 0 && flow.head != nullptr &&
           sum + flow.head->length <= bytes);
  Account(sum);
  return sum;
}

void SliceQueue::Account(uint64_t bytes) {
  if (bulk_next_) {
    owed_ = short_.flows.empty() ? 0 : owed_ - static_cast<int64_t>(bytes);
  } else {
    owed_ = bulk_.flows.empty()
                ? 0
                : owed_ + static_cast<int64_t>(bytes / (kShare - 1));
  }
  Account(bulk_next_ ? bulk_ : short_, bytes);
}

void SliceQueue::Account(Class& from, uint64_t bytes) {
  from.bytes -= bytes;
  const bool ended = from.flows[from.next].head == nullptr;
  if (ended) {
    from.flows.erase(from.flows.begin() +
                     static_cast<std::ptrdiff_t>(from.next));
  }
  if (from.next != from.turn) {
    // One before it has gone.
    if (ended && from.next < from.turn) --from.turn;
    return;
  }
  from.turn_left -= std::min(from.turn_left, bytes);
  if (!ended && from.turn_left > 0) return;
  if (!ended) ++from.turn;
  from.turn_left = from.turn_bytes;
}

SliceList SliceQueue::Remove(absl::FunctionRef<bool(const Slice&)> matches) {
  SliceList removed;
  SliceList kept;
  SliceList all = TakeAll();
  while (!all.empty()) {
    Slice& slice = all.PopFront();
    (matches(slice) ? removed : kept).PushBack(slice);
  }
  Push(std::move(kept));
  return removed;
}

SliceList SliceQueue::TakeAll() {
  SliceList all;
  for (Class* from : {&short_, &bulk_}) {
    for (const Flow& flow : from->flows) all.Append(*flow.head, *flow.tail);
    from->flows.clear();
    from->bytes = 0;
    from->turn = 0;
  }
  return all;
}

}  // namespace te
