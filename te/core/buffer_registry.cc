#include "te/core/buffer_registry.h"

#include <algorithm>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "glog/logging.h"
#include "te/base/status_macros.h"
#include "te/metadata/metadata_store.h"

namespace te {
namespace {

constexpr uint64_t kPins = 0x7fffffff;
constexpr uint64_t kClosing = 0x80000000;

uint32_t GenerationOf(uint64_t state) {
  return static_cast<uint32_t>(state >> 32);
}
// Odd while the slot is in use.
bool InUse(uint64_t state) { return GenerationOf(state) % 2 == 1; }
bool IsOpen(uint64_t state) { return InUse(state) && (state & kClosing) == 0; }

uint64_t MakeId(uint32_t generation, uint32_t slot) {
  return (uint64_t{generation} << 32) | slot;
}

std::string RangeText(uint64_t address, uint64_t length) {
  return absl::StrCat("[0x", absl::Hex(address), ", +", length, ")");
}

}  // namespace

BufferRegistry::BufferRegistry(size_t max_buffers, PlacementOptions placement)
    : max_buffers_(max_buffers),
      first_version_(FirstVersion()),
      placement_options_(std::move(placement)),
      slots_(std::make_unique<Slot[]>(max_buffers)),
      version_(first_version_) {
  CHECK_GT(max_buffers, 0u);
  CHECK_LE(max_buffers, BufferTable::kMaxBuffers);
  // Generations of two engines differ, so that a request for one is not taken
  // for one for the other. Even: free.
  const uint32_t first_generation = std::random_device()() & ~1u;
  MutexLock lock(mutex_);
  free_.reserve(max_buffers);
  for (size_t i = max_buffers; i > 0; --i) {
    free_.push_back(static_cast<uint32_t>(i - 1));
    slots_[i - 1].state = uint64_t{first_generation} << 32;
  }
}

BufferRegistry::~BufferRegistry() {
  for (size_t i = 0; i < max_buffers_; ++i) {
    CHECK_EQ(slots_[i].state & kPins, 0u) << "a buffer is still in use";
  }
}

absl::StatusOr<BufferId> BufferRegistry::Register(const MemoryRegion& region,
                                                  Prepare prepare) {
  const auto address = reinterpret_cast<uint64_t>(region.address);
  if (address == 0 || region.length == 0 ||
      region.length > UINT64_MAX - address) {
    return absl::InvalidArgumentError(
        absl::StrCat("cannot register ", RangeText(address, region.length),
                     ": null, empty, or beyond the address space"));
  }
  TE_ASSIGN_OR_RETURN(const uint32_t index, Reserve());
  Slot& slot = slots_[index];
  slot.address = address;
  slot.length = region.length;
  slot.location = region.location;
  slot.access = region.access;
  // Either may take its time, so not under mutex_.
  FindPlacement(slot);
  absl::StatusOr<TransportKeys> keys =
      prepare({.slot = index,
               .address = static_cast<std::byte*>(region.address),
               .length = region.length,
               .remote_read = Allows(region.access, Operation::kRead),
               .remote_write = Allows(region.access, Operation::kWrite),
               .location = SinglePlace(slot)});
  if (!keys.ok()) {
    slot.placement.reset();
    MutexLock lock(mutex_);
    free_.push_back(index);
    return keys.status();
  }
  slot.keys = *std::move(keys);
  return Open(index);
}

absl::StatusOr<uint32_t> BufferRegistry::Reserve() {
  MutexLock lock(mutex_);
  if (free_.empty()) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "all ", max_buffers_,
        " buffers are registered; register fewer, larger ones or raise "
        "max_buffers"));
  }
  const uint32_t index = free_.back();
  free_.pop_back();
  return index;
}

BufferId BufferRegistry::Open(uint32_t index) {
  Slot& slot = slots_[index];
  MutexLock lock(mutex_);
  const uint32_t generation = GenerationOf(slot.state) + 1;
  slot.state = uint64_t{generation} << 32;
  by_address_.Insert(slot.address, slot.length, index);
  NoteChange(index);
  return BufferId{MakeId(generation, index)};
}

// Unless the owner says where it is.
void BufferRegistry::FindPlacement(Slot& slot) {
  if (slot.location != MemoryLocation()) return;
  MemoryPlacement placement =
      MemoryPlacement::Find(slot.address, slot.length, placement_options_);
  if (!placement.status().ok() && !placement_warned_.exchange(true)) {
    LOG(WARNING) << "it is unknown on which NUMA nodes registered memory lies: "
                 << placement.status();
  }
  if (placement.uniform()) {
    slot.location = placement.single();
  } else {
    slot.placement =
        std::make_unique<const MemoryPlacement>(std::move(placement));
  }
}

absl::Status BufferRegistry::Unregister(BufferId id, MonotonicTime deadline,
                                        Dispose dispose) {
  const uint32_t index = SlotOf(id);
  {
    MutexLock lock(mutex_);
    TE_RETURN_IF_ERROR(AwaitLastPin(id, deadline));
    slots_[index].disposing = true;
  }
  Slot& slot = slots_[index];
  const absl::Status disposed = dispose(index);
  if (disposed.ok()) {
    slot.placement.reset();
    slot.keys = TransportKeys();
  }
  MutexLock lock(mutex_);
  slot.disposing = false;
  if (!disposed.ok()) {
    drained_.NotifyAll();
    return disposed;
  }
  slot.state = uint64_t{GenerationOf(slot.state) + 1} << 32;
  free_.push_back(index);
  drained_.NotifyAll();
  return absl::OkStatus();
}

// Closes the buffer. OK: it has no pins, and the caller is the one who disposes
// of it.
absl::Status BufferRegistry::AwaitLastPin(BufferId id, MonotonicTime deadline) {
  const uint32_t index = SlotOf(id);
  const auto generation = static_cast<uint32_t>(id.value >> 32);
  if (!Contains(id)) {
    return absl::NotFoundError("no such buffer is registered (any more)");
  }
  Slot& slot = slots_[index];
  if ((slot.state.fetch_or(kClosing) & kClosing) == 0) {
    by_address_.Erase(slot.address, [&](uint32_t s) { return s == index; });
    NoteChange(index);
  }
  bool in_time = true;
  while (slot.disposing || (slot.state & kPins) != 0) {
    if (!slot.disposing && !in_time) {
      return absl::DeadlineExceededError(
          absl::StrCat("the buffer ", RangeText(slot.address, slot.length),
                       " is still in use by transfers; it takes no new ones"));
    }
    // What is being disposed of is not in use any more, but the memory is not
    // its owner's yet: nothing can hasten that.
    in_time =
        drained_.WaitUntil(mutex_, slot.disposing ? kNoDeadline : deadline);
    if (GenerationOf(slot.state) != generation) {
      return absl::NotFoundError("another caller has unregistered the buffer");
    }
  }
  return absl::OkStatus();
}

void BufferRegistry::DisposeOfAll(
    absl::FunctionRef<void(uint32_t slot)> dispose) {
  for (uint32_t index = 0; index < max_buffers_; ++index) {
    if (InUse(slots_[index].state)) dispose(index);
  }
}

void BufferRegistry::NoteChange(uint32_t index) {
  if (slots_[index].access == Access::kLocalOnly) return;
  const size_t page = index / BufferTable::kPageBuffers;
  if (page >= page_versions_.size()) {
    page_versions_.resize(page + 1, first_version_);
  }
  page_versions_[page] = ++version_;
}

bool BufferRegistry::TryPin(Slot& slot, uint32_t generation) {
  uint64_t state = slot.state;
  do {
    if (!IsOpen(state) || GenerationOf(state) != generation) return false;
  } while (!slot.state.compare_exchange_weak(state, state + 1));
  return true;
}

MemoryLocation BufferRegistry::SinglePlace(const Slot& slot) {
  return slot.placement != nullptr ? slot.placement->single() : slot.location;
}

void BufferRegistry::Release(uint32_t index) {
  const uint64_t before = slots_[index].state.fetch_sub(1);
  if ((before & kClosing) == 0 || (before & kPins) != 1) return;
  MutexLock lock(mutex_);
  drained_.NotifyAll();
}

absl::StatusOr<BufferRegistry::LocalPin> BufferRegistry::PinLocal(
    const void* address, uint64_t length, const LocalPin& hint) {
  const auto begin = reinterpret_cast<uint64_t>(address);
  if (hint.registry_ != nullptr) {
    Slot& slot = slots_[SlotOf(hint.id_)];
    // The hint keeps the slot as it is.
    if (slot.Contains(begin, length) &&
        TryPin(slot, GenerationOf(slot.state))) {
      return LocalPin(*this, hint.id_);
    }
  }
  MutexLock lock(mutex_);
  const uint32_t* found =
      by_address_.Find(begin, length, [](uint32_t) { return true; });
  // Whoever closes a buffer holds mutex_, and takes it out of the map.
  if (found == nullptr) {
    return absl::InvalidArgumentError(absl::StrCat(
        "the local range ", RangeText(begin, length),
        " is not within one registered buffer; register it first"));
  }
  const uint32_t generation = GenerationOf(slots_[*found].state);
  CHECK(TryPin(slots_[*found], generation));
  return LocalPin(*this, BufferId{MakeId(generation, *found)});
}

absl::StatusOr<ExposedMemory::Pin> BufferRegistry::Acquire(
    const RemoteAccess& access) {
  const auto index = static_cast<uint32_t>(access.generation);
  const auto generation = static_cast<uint32_t>(access.generation >> 32);
  if (index >= max_buffers_) return Refuse(access);
  Slot& slot = slots_[index];
  if (!TryPin(slot, generation)) return Refuse(access);
  Pin pin(*this, index, reinterpret_cast<std::byte*>(access.address));
  if (!Allows(slot.access, access.operation)) {
    return absl::PermissionDeniedError(
        absl::StrCat("the buffer ", RangeText(slot.address, slot.length),
                     " is not registered for remote ",
                     access.operation == Operation::kRead ? "READ" : "WRITE"));
  }
  if (!slot.Contains(access.address, access.length)) {
    return absl::OutOfRangeError(absl::StrCat(
        RangeText(access.address, access.length), " exceeds the buffer ",
        RangeText(slot.address, slot.length)));
  }
  return pin;
}

absl::Status BufferRegistry::Refuse(const RemoteAccess& access) const {
  return absl::NotFoundError(
      absl::StrCat("no buffer is registered (any more) for ",
                   RangeText(access.address, access.length),
                   " under the generation that the request names; refresh the "
                   "segment, and see "
                   "which buffers it has now"));
}

bool BufferRegistry::Contains(BufferId id) const {
  const uint32_t index = SlotOf(id);
  if (index >= max_buffers_) return false;
  const uint64_t state = slots_[index].state;
  return InUse(state) &&
         GenerationOf(state) == static_cast<uint32_t>(id.value >> 32);
}

size_t BufferRegistry::size() const {
  MutexLock lock(mutex_);
  return max_buffers_ - free_.size();
}

BufferRegistry::Description BufferRegistry::Describe() {
  MutexLock describing(describing_);
  std::vector<size_t> changed;
  {
    MutexLock lock(mutex_);
    std::vector<uint64_t>& seen = described_.page_versions;
    seen.resize(page_versions_.size(), first_version_);
    for (size_t page = 0; page < seen.size(); ++page) {
      if (seen[page] != page_versions_[page]) changed.push_back(page);
    }
    seen = page_versions_;
    described_.version = version_;
  }
  for (const size_t page : changed) {
    described_.table.SetPage(page, DescribePage(page));
  }
  return described_;
}

// Under a pin at a time, and not under mutex_: submitting threads take that.
BufferTable::SharedPage BufferRegistry::DescribePage(size_t page) {
  auto buffers = std::make_shared<BufferTable::Page>();
  const size_t begin = page * BufferTable::kPageBuffers;
  const size_t end = std::min(begin + BufferTable::kPageBuffers, max_buffers_);
  for (size_t i = begin; i < end; ++i) {
    Slot& slot = slots_[i];
    const uint32_t generation = GenerationOf(slot.state);
    if (!TryPin(slot, generation)) continue;
    const BufferId id{MakeId(generation, static_cast<uint32_t>(i))};
    const LocalPin pin(*this, id);
    if (slot.access == Access::kLocalOnly) continue;
    buffers->push_back({.address = slot.address,
                        .length = slot.length,
                        .location = SinglePlace(slot),
                        .remote_read = Allows(slot.access, Operation::kRead),
                        .remote_write = Allows(slot.access, Operation::kWrite),
                        .generation = id.value,
                        .keys = slot.keys});
  }
  return buffers;
}

}  // namespace te
