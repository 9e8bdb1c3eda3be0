#include "te/transport/shm/shm_rail.h"

#include <sched.h>
#include <sys/uio.h>

#include <array>
#include <cstddef>
#include <cstring>
#include <optional>

#include "absl/strings/str_cat.h"

namespace te::shm {
namespace {

// What a thread takes at once: as much as others should wait for.
constexpr uint64_t kTakenBytes = 256 << 10;
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

class ShmRail::Share final : public CopyPool::Client {
 public:
  explicit Share(ShmRail& rail) : rail_(rail) {}

  void Help() override { rail_.CopySome(*this); }
  bool has_work() const override { return !waiting.empty(); }

  WaitingSlices waiting;
  // How to copy it: as was right for the latest of it.
  std::atomic<CopyWay> way{CopyWay::kMemcpy};

 private:
  ShmRail& rail_;
};

ShmRail::ShmRail(std::string name, std::unique_ptr<PeerLink> link,
                 uint64_t inline_bytes, CopyPools& pools)
    : name_(std::move(name)),
      link_(std::move(link)),
      inline_bytes_(inline_bytes),
      pools_(pools) {
  for (size_t i = 0; i < pools.size(); ++i) {
    shares_.push_back(std::make_unique<Share>(*this));
  }
}

ShmRail::~ShmRail() { Close(absl::CancelledError("the rail is gone")); }

void ShmRail::Post(absl::Span<Slice* const> slices) {
  uint64_t bytes = 0;
  SliceList posted;
  for (Slice* const slice : slices) {
    bytes += slice->length;
    posted.PushBack(*slice);
  }
  const CopyWay way = WayFor(slices, bytes);
  if (bytes <= inline_bytes_ || failed_) {
    const Copying copying(*this);
    return Carry(std::move(posted), way);
  }
  // Close waits until the pool knows of it.
  const Copying copying(*this);
  const size_t pool = pools_.IndexFor(slices.front()->local_location);
  Share& share = *shares_[pool];
  share.way = way;
  share.waiting.Append(std::move(posted));
  // Close looks the other way round.
  if (failed_) {
    while (Poll() == Progress::kMoved) {
    }
    return;
  }
  // Who keeps the share keeps the rail.
  pools_.pool(pool).Offer({shared_from_this(), &share});
}

Progress ShmRail::Poll() {
  for (const auto& share : shares_) {
    if (CopySome(*share)) return Progress::kMoved;
  }
  return Progress::kIdle;
}

bool ShmRail::CopySome(Share& share) {
  if (share.waiting.empty()) return false;
  // Before anything is taken, so that Close finds it waiting, or waits.
  const Copying copying(*this);
  SliceList some = share.waiting.TakeSome(kTakenBytes);
  if (some.empty()) return false;
  Carry(std::move(some), share.way);
  return true;
}

CopyWay ShmRail::WayFor(absl::Span<Slice* const> slices, uint64_t bytes) {
  constexpr auto kRelaxed = std::memory_order_relaxed;
  const bool goes_on =
      slices.front()->remote_address == row_end_.load(kRelaxed);
  const uint64_t in_a_row =
      bytes + (goes_on ? row_bytes_.load(kRelaxed) : uint64_t{0});
  row_bytes_.store(in_a_row, kRelaxed);
  row_end_.store(slices.back()->remote_address + slices.back()->length,
                 kRelaxed);
  return BestWay(in_a_row);
}

void ShmRail::Carry(SliceList slices, CopyWay way) {
  Group group;
  while (!slices.empty()) {
    Slice& slice = slices.PopFront();
    Pinned pinned;
    absl::Status status = Admit(slice, pinned);
    if (!status.ok()) {
      slice.sink->Done(slice, std::move(status));
    } else if (link_->is_self()) {
      CopyWithin(slice, pinned, way);
    } else if (CopyMapped(slice, pinned, way)) {
      continue;
    } else if (link_->process() == nullptr) {
      Finish(slice, pinned.slot, CannotReach(pinned));
    } else {
      if (!group.HasRoomFor(slice)) CopyGroup(group);
      group.Add(slice, pinned.slot);
    }
  }
  if (!group.empty()) CopyGroup(group);
}

absl::Status ShmRail::Admit(const Slice& slice, Pinned& pinned) {
  if (failed_) return health();
  absl::Status status = link_->memory().Pin(slice, pinned);
  if (absl::IsUnavailable(status)) Fail(status);
  return status;
}

void ShmRail::CopyWithin(Slice& slice, const Pinned& pinned, CopyWay way) {
  auto* to = slice.local;
  auto* from = reinterpret_cast<std::byte*>(slice.remote_address);
  if (slice.operation == Operation::kWrite) std::swap(to, from);
  // A segment can be opened by its own engine.
  const bool overlap = to < from + slice.length && from < to + slice.length;
  if (overlap) {
    memmove(to, from, slice.length);
  } else {
    CopyBy(way, to, from, slice.length);
  }
  Finish(slice, pinned.slot, absl::OkStatus());
}

bool ShmRail::CopyMapped(Slice& slice, const Pinned& pinned, CopyWay way) {
  std::byte* const remote = link_->Enter(pinned, slice.length, slice.operation);
  if (remote == nullptr) return false;
  if (slice.operation == Operation::kRead) {
    CopyBy(way, slice.local, remote, slice.length);
  } else {
    CopyBy(way, remote, slice.local, slice.length);
  }
  link_->Leave(pinned);
  Finish(slice, pinned.slot, absl::OkStatus());
  return true;
}

bool ShmRail::Reaches(absl::string_view key) const {
  if (link_->is_self() || link_->process() != nullptr) return true;
  const std::optional<GrantKey> grant = GrantKey::Parse(key);
  return grant.has_value() && grant->mappable;
}

absl::Status ShmRail::CannotReach(const Pinned& pinned) const {
  if (pinned.mapping.valid()) {
    return absl::UnavailableError(
        "the peer's memory has not been mapped here, or not yet; this "
        "process's log may have the reason");
  }
  return absl::FailedPreconditionError(
      absl::StrCat("shm reaches ", link_->limits()));
}

void ShmRail::CopyGroup(Group& group) {
  const ProcessMemory& process = *link_->process();
  const Operation operation = group.slice(0).operation;
  size_t next = 0;
  while (next < group.size()) {
    absl::Status why = link_->memory().life();
    size_t done = 0;
    if (why.ok()) {
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
  // The owner may have ended in the middle; or its patience has, with this
  // process stopped, and it has used the memory for something else.
  if (status.ok()) status = link_->memory().life();
  if (absl::IsUnavailable(status)) {
    Fail(status);
    status = health();
  }
  link_->memory().Unpin(slot);
  slice.sink->Done(slice, std::move(status));
}

void ShmRail::Withdraw(absl::FunctionRef<bool(const Slice&)> matches,
                       const absl::Status& status) {
  SliceList withdrawn;
  for (const auto& share : shares_) {
    withdrawn.Append(share->waiting.TakeThoseThat(matches));
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
  link_->Retire();
}

absl::Status ShmRail::health() const {
  {
    MutexLock lock(mutex_);
    if (!health_.ok()) return health_;
  }
  if (!link_->memory().life().ok() || link_->IsGone()) {
    return absl::UnavailableError(
        "the peer has ended, or has cut this connection");
  }
  return absl::OkStatus();
}

}  // namespace te::shm
