#ifndef TE_TRANSPORT_TCP_FRAME_H_
#define TE_TRANSPORT_TCP_FRAME_H_

#include <cstddef>
#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "te/base/incarnation.h"
#include "te/transport/slice.h"

// What travels on a stream. Each direction is a sequence of frames:
//
//   header (32 bytes) | entry (32 bytes) × 1…kMaxEntries | payload
//
// all little-endian. A frame has many entries so that small requests share
// system calls, and all of them stand before the payload so that the receiver
// knows where each byte belongs before it takes it out of the socket: one readv
// then scatters it straight into the destination memory. The header comes with
// the first entry because that is the least a receiver can wait for.
//
// The client sends one Hello, answered by one Welcome, then Requests frames
// whose payload is the data of their WRITE entries, in order. The server
// answers in the order of the requests: Responses frames whose payload is the
// data of READs, and the texts of errors, in order.
namespace te::tcp {

// Changes whenever a peer of the previous version would misread a frame. Peers
// of different versions refuse each other in the handshake.
inline constexpr uint8_t kWireVersion = 1;

inline constexpr size_t kHeaderBytes = 32;
inline constexpr size_t kEntryBytes = 32;
inline constexpr size_t kMaxEntries = 128;
// Header and first entry.
inline constexpr size_t kFrameStartBytes = kHeaderBytes + kEntryBytes;
inline constexpr size_t kMaxControlBytes =
    kHeaderBytes + kMaxEntries * kEntryBytes;
// A sender adds to a frame that has less payload than the first, so that none
// has more than the second. A frame is applied and acknowledged as a whole, so
// it must not be long compared to a window.
inline constexpr uint64_t kFullFrameBytes = 1 << 20;
inline constexpr uint64_t kMaxPayloadBytes = kFullFrameBytes + kMaxSliceBytes;
// The text of an error in a response is cut there.
inline constexpr size_t kMaxErrorTextBytes = 512;

enum class FrameKind : uint8_t {
  kHello = 1,
  kWelcome = 2,
  kRequests = 3,
  kResponses = 4,
};

struct FrameHeader {
  FrameKind kind = FrameKind::kHello;
  uint16_t entries = 0;
  uint64_t payload_bytes = 0;
  // The engine that the frame is meant for, in both directions.
  Incarnation target;
};

struct HelloEntry {
  // Names the session that the handshake opened; a secret of its two ends.
  Incarnation session;
  uint32_t stream = 0;
};

struct RequestEntry {
  // Consecutive on a stream, and wraps.
  uint32_t id = 0;
  Operation operation = Operation::kRead;
  uint32_t length = 0;
  uint64_t address = 0;
  uint64_t generation = 0;
  // WRITE: `crc32c` is that of the data. READ: the response shall carry one.
  bool checked = false;
  uint32_t crc32c = 0;
};

// Stands for `count` requests with consecutive ids, of which all but an OK
// WRITE are answered one by one.
struct ResponseEntry {
  uint32_t id = 0;
  uint32_t count = 1;
  absl::StatusCode code = absl::StatusCode::kOk;
  // Bytes in the payload: the data of a READ, or the text of an error.
  uint32_t length = 0;
  bool checked = false;
  uint32_t crc32c = 0;
};

// Writes kHeaderBytes or kEntryBytes at `out`.
void Encode(const FrameHeader& header, std::byte* out);
void Encode(const HelloEntry& entry, std::byte* out);
void Encode(const RequestEntry& entry, std::byte* out);
void Encode(const ResponseEntry& entry, std::byte* out);

// Parse what a peer sent: kHeaderBytes or kEntryBytes at `in`. An error means
// that the rest of the stream cannot be trusted.
absl::StatusOr<FrameHeader> DecodeHeader(const std::byte* in);
absl::StatusOr<HelloEntry> DecodeHello(const std::byte* in);
absl::StatusOr<RequestEntry> DecodeRequest(const std::byte* in);
absl::StatusOr<ResponseEntry> DecodeResponse(const std::byte* in);

}  // namespace te::tcp

#endif  // TE_TRANSPORT_TCP_FRAME_H_
