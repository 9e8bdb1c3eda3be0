#include "te/transport/shm/grants.h"

#include <cstring>
#include <utility>

#include "absl/strings/str_cat.h"
#include "te/base/status_macros.h"
#include "te/transport/shm/life_sign.h"

namespace te::shm {
namespace {

// As peers see it. `state` is the generation, shifted by one, and whether it is
// granted; the rest does not change while it is, nor while it is pinned.
struct alignas(64) PublishedGrant {
  std::atomic<uint64_t> state{0};
  std::atomic<uint64_t> address{0};
  std::atomic<uint64_t> length{0};
  std::atomic<uint32_t> rights{0};
  // Of the MappingId; the serial is 0 if there is none.
  std::atomic<uint32_t> mapping_index{0};
  std::atomic<uint32_t> mapping_serial{0};
};
static_assert(sizeof(PublishedGrant) == 64);
static_assert(std::atomic<uint64_t>::is_always_lock_free);
static_assert(std::atomic<uint32_t>::is_always_lock_free);

constexpr uint64_t kGranted = 1;
constexpr uint32_t kMayRead = 1;
constexpr uint32_t kMayWrite = 2;

// The table begins with the owner's word, on a cache line of its own.
constexpr size_t kPinsOffset = 64;

using Counter = std::atomic<uint32_t>;

// The table begins with the owner's sign of life.
PublishedGrant& GrantAt(const SharedRegion& region, uint32_t slot) {
  return reinterpret_cast<PublishedGrant*>(region.data() +
                                           LifeSign::kBytes)[slot];
}

Counter& CutWord(const SharedRegion& region) {
  return *reinterpret_cast<Counter*>(region.data());
}

Counter& PinsAt(const SharedRegion& region, uint32_t slot) {
  return reinterpret_cast<Counter*>(region.data() + kPinsOffset)[slot];
}

size_t PinTableBytes(uint32_t slots) {
  return kPinsOffset + slots * sizeof(Counter);
}

// Both are of the same host, and so of the same byte order.
struct KeyOnWire {
  uint64_t generation;
  uint32_t slot;
  uint32_t mappable;
};

}  // namespace

std::string GrantKey::Serialize() const {
  const KeyOnWire wire = {
      .generation = generation, .slot = slot, .mappable = mappable ? 1u : 0u};
  return std::string(reinterpret_cast<const char*>(&wire), sizeof(wire));
}

std::optional<GrantKey> GrantKey::Parse(absl::string_view bytes) {
  KeyOnWire wire;
  if (bytes.size() != sizeof(wire)) return std::nullopt;
  memcpy(&wire, bytes.data(), sizeof(wire));
  if (wire.mappable > 1 || wire.generation > UINT64_MAX >> 1) {
    return std::nullopt;
  }
  return GrantKey{.slot = wire.slot,
                  .generation = wire.generation,
                  .mappable = wire.mappable == 1};
}

size_t GrantTableBytes(uint32_t slots) {
  return LifeSign::kBytes + slots * sizeof(PublishedGrant);
}

absl::StatusOr<GrantTable> GrantTable::Create(uint32_t slots) {
  TE_ASSIGN_OR_RETURN(
      SharedRegion region,
      SharedRegion::Create("te-shm-grants", GrantTableBytes(slots)));
  TE_RETURN_IF_ERROR(region.SealAgainstOthersWrites());
  return GrantTable(std::move(region));
}

GrantKey GrantTable::Grant(const LocalMemory& memory, MappingId mapping) {
  PublishedGrant& grant = GrantAt(region_, memory.slot);
  const uint64_t generation = (grant.state.load() >> 1) + 1;
  grant.address.store(reinterpret_cast<uint64_t>(memory.address));
  grant.length.store(memory.length);
  grant.rights.store((memory.remote_read ? kMayRead : 0) |
                     (memory.remote_write ? kMayWrite : 0));
  grant.mapping_index.store(mapping.index);
  grant.mapping_serial.store(mapping.serial);
  grant.state.store(generation << 1 | kGranted);
  return {.slot = memory.slot,
          .generation = generation,
          .mappable = mapping.valid()};
}

void GrantTable::Withdraw(uint32_t slot) {
  GrantAt(region_, slot).state.fetch_and(~kGranted);
}

void GrantTable::GiveLifeSign() { LifeSign::Give(region_.data()); }

absl::StatusOr<PinTable> PinTable::Create(uint32_t slots) {
  TE_ASSIGN_OR_RETURN(
      SharedRegion region,
      SharedRegion::Create("te-shm-pins", PinTableBytes(slots)));
  return PinTable(std::move(region), slots);
}

absl::StatusOr<PinTable> PinTable::Map(UniqueFd fd, uint32_t slots) {
  TE_ASSIGN_OR_RETURN(SharedRegion region,
                      SharedRegion::Map(std::move(fd), PinTableBytes(slots),
                                        SharedRegion::Rights::kReadAndWrite));
  return PinTable(std::move(region), slots);
}

void PinTable::Cut() const { CutWord(region_).store(1); }

bool PinTable::is_cut() const { return CutWord(region_).load() != 0; }

void PinTable::Pin(uint32_t slot) const { PinsAt(region_, slot).fetch_add(1); }

void PinTable::Unpin(uint32_t slot) const {
  PinsAt(region_, slot).fetch_sub(1);
}

bool PinTable::IsPinned(uint32_t slot) const {
  return PinsAt(region_, slot).load() != 0;
}

bool PinTable::IsInUse() const {
  for (uint32_t slot = 0; slot < slots_; ++slot) {
    if (IsPinned(slot)) return true;
  }
  return false;
}

absl::Status GrantedMemory::Pin(const Slice& slice, Pinned& pinned) const {
  const std::optional<GrantKey> key = GrantKey::Parse(slice.remote_key);
  if (!key.has_value() || key->slot >= slots_) {
    return absl::NotFoundError("the peer has granted no such memory");
  }
  pinned.slot = key->slot;
  // Before the look at the grant: the owner looks the other way round.
  pins_.Pin(key->slot);
  absl::Status status = Check(slice, *key, pinned);
  if (!status.ok()) pins_.Unpin(key->slot);
  return status;
}

absl::Status GrantedMemory::life() const {
  if (pins_.is_cut()) {
    return absl::UnavailableError("the peer has cut this connection");
  }
  if (LifeSign::IsOver(grants_.data())) {
    return absl::UnavailableError("the peer's process has ended");
  }
  return absl::OkStatus();
}

absl::Status GrantedMemory::Check(const Slice& slice, const GrantKey& key,
                                  Pinned& pinned) const {
  TE_RETURN_IF_ERROR(life());
  const PublishedGrant& grant = GrantAt(grants_, key.slot);
  if (grant.state.load() != (key.generation << 1 | kGranted)) {
    return absl::NotFoundError("the peer has unregistered the memory");
  }
  const bool read = slice.operation == Operation::kRead;
  if ((grant.rights.load() & (read ? kMayRead : kMayWrite)) == 0) {
    return absl::PermissionDeniedError(absl::StrCat(
        "the peer does not allow to ", read ? "read" : "write", " the memory"));
  }
  const uint64_t begin = grant.address.load();
  const uint64_t length = grant.length.load();
  if (slice.remote_address < begin || slice.length > length ||
      slice.remote_address - begin > length - slice.length) {
    return absl::OutOfRangeError(absl::StrCat(
        slice.length, " bytes at 0x", absl::Hex(slice.remote_address),
        " exceed the memory that the peer has registered"));
  }
  pinned.mapping = {.index = grant.mapping_index.load(),
                    .serial = grant.mapping_serial.load()};
  pinned.offset = slice.remote_address - begin;
  return absl::OkStatus();
}

}  // namespace te::shm
