#include "te/transport/shm/shm_rail.h"

#include <sched.h>
#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <cstring>

namespace te::shm {
namespace {

// What a thread takes at once: as much as others should wait for.
constexpr uint64_t kShareBytes = 256 << 10;
// Of one system call.
constexpr size_t kGroupSlices = ProcessMemory::kMaxPieces;
constexpr uint64_t kGroupBytes = 64 << 20;

}  // namespace

// For one thread.
class ShmRail::Group {
 public:
  bool empty() const { return count_ == 0; }
  bool HasRoomFor(const Slice& slice) const {
    return count_ == 0 ||
           (count_ < kGroupSlices && slice.operation == slices_[0]->operation &&
            bytes_ + slice.length <= kGroupBytes);
  }
  void Add(Slice& slice, uint32_t slot) {
    slices_[count_] = &slice;
    slots_[count_] = slot;
    local_[count_] = {.iov_base = slice.local, .iov_len = slice.length};
    remote_[count_] = {
        .iov_base = reinterpret_cast<void*>(slice.remote_address),
        .iov_len = slice.length};
    bytes_ += slice.length;
    ++count_;
  }
  void Clear() { count_ = 0, bytes_ = 0; }

  size_t size() const { return count_; }
  Slice& slice(size_t i) const { return *slices_[i]; }
  uint32_t slot(size_t i) const { return slots_[i]; }
  // Of the slices from the i-th on.
  absl::Span<const iovec> local(size_t i) const {
    return absl::MakeConstSpan(local_).subspan(i, count_ - i);
  }
  absl::Span<const iovec> remote(size_t i) const {
    return absl::MakeConstSpan(remote_).subspan(i, count_ - i);
  }

 private:
  size_t count_ = 0;
  uint64_t bytes_ = 0;
  std::array<Slice*, kGroupSlices> slices_;
  std::array<uint32_t, kGroupSlices> slots_;
  std::array<iovec, kGroupSlices> local_;
  std::array<iovec, kGroupSlices> remote_;
};

// While it exists, Close waits.
class ShmRail::Copying {
 public:
  explicit Copying(ShmRail& rail) : rail_(rail) { ++rail_.copying_; }
  ~Copying() { --rail_.copying_; }
  Copying(const Copying&) = delete;
  Copying& operator=(const Copying&) = delete;

 private:
  ShmRail& rail_;
};

ShmRail::~ShmRail() { Close(absl::CancelledError("the rail is gone")); }

void ShmRail::Post(absl::Span<Slice* const> slices) {
  uint64_t bytes = 0;
  SliceList posted;
  for (Slice* const slice : slices) {
    bytes += slice->length;
    posted.PushBack(*slice);
  }
  if (bytes <= inline_bytes_ || failed_) {
    const Copying copying(*this);
    return Carry(std::move(posted));
  }
  // Close waits until the pool knows of it.
  const Copying copying(*this);
  {
    MutexLock lock(mutex_);
    waiting_.Append(std::move(posted));
    has_work_ = true;
  }
  // Close looks the other way round.
  if (failed_) {
    while (Poll() == Progress::kMoved) {
    }
    return;
  }
  pool_.Offer(shared_from_this());
}

Progress ShmRail::Poll() {
  if (!has_work_) return Progress::kIdle;
  // Before anything is taken, so that Close finds it waiting, or waits.
  const Copying copying(*this);
  SliceList some = TakeSome();
  if (some.empty()) return Progress::kIdle;
  Carry(std::move(some));
  return Progress::kMoved;
}

SliceList ShmRail::TakeSome() {
  SliceList some;
  uint64_t bytes = 0;
  MutexLock lock(mutex_);
  while (!waiting_.empty() &&
         (bytes == 0 || bytes + waiting_.front()->length <= kShareBytes)) {
    bytes += waiting_.front()->length;
    some.PushBack(waiting_.PopFront());
  }
  has_work_ = !waiting_.empty();
  return some;
}

void ShmRail::Carry(SliceList slices) {
  Group group;
  while (!slices.empty()) {
    Slice& slice = slices.PopFront();
    uint32_t slot = 0;
    absl::Status status = Admit(slice, slot);
    if (!status.ok()) {
      slice.sink->Done(slice, std::move(status));
    } else if (link_->process() == nullptr) {
      CopyWithin(slice, slot);
    } else {
      if (!group.HasRoomFor(slice)) CopyGroup(group);
      group.Add(slice, slot);
    }
  }
  if (!group.empty()) CopyGroup(group);
}

absl::Status ShmRail::Admit(const Slice& slice, uint32_t& slot) {
  if (failed_) return health();
  absl::Status status = link_->memory().Pin(slice, slot);
  if (absl::IsUnavailable(status)) Fail(status);
  return status;
}

void ShmRail::CopyWithin(Slice& slice, uint32_t slot) {
  auto* const remote = reinterpret_cast<std::byte*>(slice.remote_address);
  // The two may overlap: a segment can be opened by its own engine.
  if (slice.operation == Operation::kRead) {
    memmove(slice.local, remote, slice.length);
  } else {
    memmove(remote, slice.local, slice.length);
  }
  Finish(slice, slot, absl::OkStatus());
}

void ShmRail::CopyGroup(Group& group) {
  const ProcessMemory& process = *link_->process();
  const Operation operation = group.slice(0).operation;
  size_t next = 0;
  while (next < group.size()) {
    absl::Status why;
    size_t done = 0;
    // What is read proves itself.
    if (operation == Operation::kWrite && link_->IsGone()) {
      why = absl::UnavailableError("the peer's process has ended");
    } else {
      done =
          process.Copy(operation, group.local(next), group.remote(next), why);
    }
    // One that was refused is its own fault; else there is nothing to be had
    // from this peer any more.
    if (!why.ok() && !absl::IsInvalidArgument(why)) {
      Fail(absl::UnavailableError(why.message()));
      why = health();
    }
    for (size_t i = 0; i < done; ++i, ++next) {
      Finish(group.slice(next), group.slot(next), absl::OkStatus());
    }
    if (!why.ok()) {
      Finish(group.slice(next), group.slot(next), why);
      ++next;
    }
  }
  group.Clear();
}

void ShmRail::Finish(Slice& slice, uint32_t slot, absl::Status status) {
  link_->memory().Unpin(slot);
  slice.sink->Done(slice, std::move(status));
}

void ShmRail::Withdraw(absl::FunctionRef<bool(const Slice&)> matches,
                       const absl::Status& status) {
  SliceList withdrawn;
  {
    MutexLock lock(mutex_);
    SliceList all = std::move(waiting_);
    while (!all.empty()) {
      Slice& slice = all.PopFront();
      (matches(slice) ? withdrawn : waiting_).PushBack(slice);
    }
    has_work_ = !waiting_.empty();
  }
  while (!withdrawn.empty()) {
    Slice& slice = withdrawn.PopFront();
    slice.sink->Done(slice, status);
  }
}

void ShmRail::Fail(const absl::Status& why) {
  MutexLock lock(mutex_);
  if (health_.ok()) health_ = why;
  failed_ = true;
}

void ShmRail::Close(const absl::Status& why) {
  Fail(why);
  // What waits comes back with that; what is being copied is soon done.
  while (Poll() == Progress::kMoved || copying_ > 0) sched_yield();
}

absl::Status ShmRail::health() const {
  {
    MutexLock lock(mutex_);
    if (!health_.ok()) return health_;
  }
  if (link_->memory().is_cut() || link_->IsGone()) {
    return absl::UnavailableError(
        "the peer has ended, or has cut this connection");
  }
  return absl::OkStatus();
}

}  // namespace te::shm
