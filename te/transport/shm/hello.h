// What both ends of a unix socket say first. They are of one host and, as the
// handshake has found out, of one version: so these are the structures
// themselves. All the same they are hostile until looked at.

#ifndef TE_TRANSPORT_SHM_HELLO_H_
#define TE_TRANSPORT_SHM_HELLO_H_

#include <array>
#include <cstddef>
#include <cstdint>

#include "absl/types/span.h"
#include "te/transport/shm/mapping_id.h"

namespace te::shm {

// Of the protocol: the handshake, these messages, the tables and the keys.
inline constexpr uint32_t kShmVersion = 2;

// What the owner has told the peer over the control plane, and hears again.
using Token = std::array<std::byte, 16>;

// The peer's.
struct Hello {
  Token token = {};
  // Whether it maps memory, and so is to hear of it.
  uint64_t maps = 0;
};

enum class Verdict : uint32_t {
  kWelcome = 1,
  // It runs as somebody else.
  kOtherUser = 2,
  // It was not promised a connection, or not in time.
  kStranger = 3,
  // There are as many as there may be, or memory is short.
  kNoRoom = 4,
};

// The owner's answer, after anything but kWelcome its last. With kWelcome come
// the descriptors of the grants and the peer's pins, in that order.
struct Welcome {
  Verdict verdict = Verdict::kStranger;
  // Of both tables.
  uint32_t slots = 0;
  // Where the owner's memory has the token, as a proof that it is the owner's.
  uint64_t token_address = 0;
  // Of as many bytes that mean nothing: to find out whether the peer may write.
  // They stay where they are as long as the process does, whatever becomes of
  // this connection meanwhile.
  uint64_t scratch_address = 0;
};

// The owner's, at any time after kWelcome, if the peer maps memory: what is at
// that place of its table from now on. With it comes the descriptor of a file
// to map; nothing, if the serial is 0. After what there is at first comes one
// for the place kMaxMappings, which is none.
struct MappingNotice {
  MappingId mapping;
  // Whether it is to be written to as well.
  uint64_t writable = 0;
};

template <typename Message>
absl::Span<const std::byte> BytesOf(const Message& message) {
  return {reinterpret_cast<const std::byte*>(&message), sizeof(message)};
}
template <typename Message>
absl::Span<std::byte> BytesOf(Message& message) {
  return {reinterpret_cast<std::byte*>(&message), sizeof(message)};
}

}  // namespace te::shm

#endif  // TE_TRANSPORT_SHM_HELLO_H_
