// Any bytes may be the key of a slice, whose address and length are the peer's
// descriptor's as well.

#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>

#include <cstddef>
#include <cstring>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "glog/logging.h"
#include "te/base/unique_fd.h"
#include "te/transport/local_memory.h"
#include "te/transport/shm/grants.h"
#include "te/transport/shm/shared_region.h"
#include "te/transport/slice.h"

namespace {

using te::shm::GrantedMemory;
using te::shm::GrantKey;
using te::shm::GrantTable;
using te::shm::PinTable;
using te::shm::SharedRegion;

constexpr uint32_t kSlots = 4;
constexpr uint32_t kSlot = 1;
constexpr uint64_t kBegin = 0x10000;
constexpr uint64_t kLength = 0x100;

te::UniqueFd Sent(const SharedRegion& region) {
  return te::UniqueFd(fcntl(region.fd(), F_DUPFD_CLOEXEC, 0));
}

// An owner that lets read one buffer, and its peer.
struct Session {
  Session()
      : key(grants.Grant({.slot = kSlot,
                          .address = reinterpret_cast<std::byte*>(kBegin),
                          .length = kLength,
                          .remote_read = true})) {}

  GrantTable grants = *GrantTable::Create(kSlots);
  PinTable pins = *PinTable::Create(kSlots);
  GrantedMemory memory{*SharedRegion::Map(Sent(grants.region()),
                                          te::shm::GrantTableBytes(kSlots),
                                          SharedRegion::Rights::kRead),
                       *PinTable::Map(Sent(pins.region()), kSlots), kSlots};
  const GrantKey key;
};

// What comes before the key.
struct Aim {
  uint64_t address;
  uint32_t length;
  uint32_t write;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const Session session;
  Aim aim;
  if (size < sizeof(aim)) return 0;
  memcpy(&aim, data, sizeof(aim));
  te::Slice slice;
  slice.operation =
      aim.write % 2 == 0 ? te::Operation::kRead : te::Operation::kWrite;
  slice.remote_address = aim.address;
  slice.length = aim.length;
  slice.remote_key = absl::string_view(
      reinterpret_cast<const char*>(data) + sizeof(aim), size - sizeof(aim));
  const std::optional<GrantKey> key = GrantKey::Parse(slice.remote_key);
  if (key.has_value()) CHECK_EQ(key->Serialize(), slice.remote_key);

  te::shm::Pinned pinned = {.slot = kSlots};
  const absl::Status status = session.memory.Pin(slice, pinned);
  if (status.ok()) {
    CHECK_EQ(pinned.slot, kSlot);
    CHECK_EQ(pinned.offset, aim.address - kBegin);
    CHECK_EQ(key->generation, session.key.generation);
    CHECK(slice.operation == te::Operation::kRead);
    CHECK_GE(aim.address, kBegin);
    CHECK_LE(aim.address, kBegin + kLength);
    CHECK_LE(aim.length, kBegin + kLength - aim.address);
    CHECK(session.pins.IsPinned(kSlot));
    session.memory.Unpin(kSlot);
  }
  CHECK(!session.pins.IsInUse());
  return 0;
}
