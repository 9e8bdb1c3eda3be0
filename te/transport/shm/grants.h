#ifndef TE_TRANSPORT_SHM_GRANTS_H_
#define TE_TRANSPORT_SHM_GRANTS_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "te/base/unique_fd.h"
#include "te/transport/local_memory.h"
#include "te/transport/shm/mapping_id.h"
#include "te/transport/shm/shared_region.h"
#include "te/transport/slice.h"

namespace te::shm {

// Who may touch which memory of whom, between processes that copy out of and
// into each other's memory by themselves, so that nobody stands in between who
// could check an access or stop one.
//
// The process whose memory it is, the owner, grants access to its buffers in a
// table that its peers can read. A peer, before it touches a buffer, pins it in
// a table of its own that the owner can read, and then looks whether the grant
// is still there. The owner, to take a buffer back, withdraws the grant and
// then waits until no peer has a pin on it. As all of that is sequentially
// consistent, one of the two sees the other. Tables of peers that have died do
// not count.
//
// This keeps apart processes that mean well. One that does not could use the
// system calls itself: who may connect at all is the kernel's choice, and that
// of the handshake.

// Names a grant: what the descriptor carries of a buffer.
struct GrantKey {
  uint32_t slot = 0;
  // Of one registration: never used again by the owner.
  uint64_t generation = 0;
  // Whether peers can map it.
  bool mappable = false;

  std::string Serialize() const;
  // Nothing for bytes that Serialize cannot have made.
  static std::optional<GrantKey> Parse(absl::string_view bytes);
};

// The owner's table. Thread-safe, but for two calls for the same slot at once.
class GrantTable {
 public:
  // Of so many slots.
  static absl::StatusOr<GrantTable> Create(uint32_t slots);

  // Grants what the memory allows peers; memory.slot is free. `mapping`: the
  // file that begins with it, if peers can map it.
  GrantKey Grant(const LocalMemory& memory, MappingId mapping = {});
  // Peers that do not have a pin on it by now get none any more.
  void Withdraw(uint32_t slot);

  // To be called once, by a thread that ends with the owner: peers see that.
  void GiveLifeSign();

  const SharedRegion& region() const { return region_; }

 private:
  explicit GrantTable(SharedRegion region) : region_(std::move(region)) {}

  SharedRegion region_;
};

// How large that table is.
size_t GrantTableBytes(uint32_t slots);

// A peer's table of pins, which begins with a word of the owner's: whether the
// session is cut off.
class PinTable {
 public:
  // The owner makes it, for a new session, and sends it to the peer.
  static absl::StatusOr<PinTable> Create(uint32_t slots);
  static absl::StatusOr<PinTable> Map(UniqueFd fd, uint32_t slots);

  // --- The owner's. ---

  // No new pins from now on.
  void Cut() const;
  // Whether there is a pin on that slot, or on any.
  bool IsPinned(uint32_t slot) const;
  bool IsInUse() const;

  // --- The peer's, where it is thread-safe. ---

  bool is_cut() const;
  void Pin(uint32_t slot) const;
  void Unpin(uint32_t slot) const;

  const SharedRegion& region() const { return region_; }
  // Once it has been sent.
  void CloseFd() { region_.CloseFd(); }

 private:
  PinTable(SharedRegion region, uint32_t slots)
      : region_(std::move(region)), slots_(slots) {}

  SharedRegion region_;
  uint32_t slots_;
};

// What a pin is on.
struct Pinned {
  uint32_t slot = 0;
  // Where peers map it, if they can, and where in there it begins.
  MappingId mapping;
  uint64_t offset = 0;
};

// The owner's memory as a peer may use it. Thread-safe.
class GrantedMemory {
 public:
  // Both tables have so many slots.
  GrantedMemory(SharedRegion grants, PinTable pins, uint32_t slots)
      : grants_(std::move(grants)), pins_(std::move(pins)), slots_(slots) {}

  // Allows to touch what the slice is aimed at, until Unpin. UNAVAILABLE: the
  // session is cut off; otherwise as ExposedMemory::Acquire.
  absl::Status Pin(const Slice& slice, Pinned& pinned) const;
  void Unpin(uint32_t slot) const { pins_.Unpin(slot); }

  // OK, or why nothing can be said of accesses any more that were not over
  // before: the owner has cut the session, or has ended.
  absl::Status life() const;

 private:
  absl::Status Check(const Slice& slice, const GrantKey& key,
                     Pinned& pinned) const;

  SharedRegion grants_;
  PinTable pins_;
  uint32_t slots_;
};

}  // namespace te::shm

#endif  // TE_TRANSPORT_SHM_GRANTS_H_
