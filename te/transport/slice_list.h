#ifndef TE_TRANSPORT_SLICE_LIST_H_
#define TE_TRANSPORT_SLICE_LIST_H_

#include <atomic>
#include <utility>

#include "absl/types/span.h"
#include "te/transport/slice.h"

namespace te {

// Slices in order, linked through Slice::next. For one thread at a time.
class SliceList {
 public:
  SliceList() = default;
  SliceList(SliceList&& other) noexcept
      : head_(std::exchange(other.head_, nullptr)),
        tail_(std::exchange(other.tail_, nullptr)) {}
  SliceList& operator=(SliceList&&) = delete;
  // Of slices that are linked already.
  SliceList(Slice& head, Slice& tail) { Append(head, tail); }

  bool empty() const { return head_ == nullptr; }
  Slice* front() const { return head_; }

  void PushBack(Slice& slice) {
    slice.next = nullptr;
    (empty() ? head_ : tail_->next) = &slice;
    tail_ = &slice;
  }

  Slice& PopFront() {
    Slice& slice = *head_;
    head_ = slice.next;
    return slice;
  }

  void Append(SliceList other) {
    if (!other.empty()) Append(*other.head_, *other.tail_);
  }
  // Slices that are linked already.
  void Append(Slice& head, Slice& tail) {
    (empty() ? head_ : tail_->next) = &head;
    tail.next = nullptr;
    tail_ = &tail;
  }

 private:
  Slice* head_ = nullptr;
  // Of a list that is not empty.
  Slice* tail_ = nullptr;
};

// Where any thread leaves slices for whoever sends next. Lock-free; its bound
// is that of the slices that exist. Sequentially consistent: see
// tcp::ClientStream.
class SliceInbox {
 public:
  // `slices` is not empty.
  void Push(absl::Span<Slice* const> slices) {
    // A stack: the last one on top.
    for (size_t i = 1; i < slices.size(); ++i) slices[i]->next = slices[i - 1];
    Slice* expected = top_.load();
    do {
      slices.front()->next = expected;
    } while (!top_.compare_exchange_weak(expected, slices.back()));
  }

  bool empty() const { return top_.load() == nullptr; }

  // Everything, in the order in which it was pushed.
  SliceList TakeAll() {
    Slice* const last = top_.exchange(nullptr);
    if (last == nullptr) return {};
    Slice* first = nullptr;
    for (Slice* slice = last; slice != nullptr;) {
      Slice* const below = slice->next;
      slice->next = first;
      first = slice;
      slice = below;
    }
    return SliceList(*first, *last);
  }

 private:
  std::atomic<Slice*> top_{nullptr};
};

}  // namespace te

#endif  // TE_TRANSPORT_SLICE_LIST_H_
