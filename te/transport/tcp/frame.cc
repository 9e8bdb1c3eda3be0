#include "te/transport/tcp/frame.h"

#include <array>
#include <bit>
#include <cstring>

#include "absl/strings/str_cat.h"

namespace te::tcp {
namespace {

// The structures below are the wire format, byte for byte.
static_assert(std::endian::native == std::endian::little);

constexpr uint32_t kMagic = 0x31466574;  // "teF1"

struct WireHeader {
  uint32_t magic;
  uint8_t version;
  uint8_t kind;
  uint16_t entries;
  uint64_t payload_bytes;
  std::array<uint8_t, 16> target;
};
static_assert(sizeof(WireHeader) == kHeaderBytes);

struct WireHello {
  std::array<uint8_t, 16> session;
  uint32_t stream;
  std::array<uint8_t, 12> zero;
};
static_assert(sizeof(WireHello) == kEntryBytes);

struct WireRequest {
  uint32_t id;
  uint32_t length;
  uint64_t address;
  uint64_t generation;
  uint32_t crc32c;
  uint8_t operation;
  uint8_t checked;
  uint16_t zero;
};
static_assert(sizeof(WireRequest) == kEntryBytes);

struct WireResponse {
  uint32_t id;
  uint32_t count;
  uint32_t length;
  uint32_t crc32c;
  uint8_t code;
  uint8_t checked;
  std::array<uint8_t, 14> zero;
};
static_assert(sizeof(WireResponse) == kEntryBytes);

absl::Status Malformed(absl::string_view what, uint64_t value) {
  return absl::DataLossError(absl::StrCat("malformed tcp frame: ", what, " ",
                                          value,
                                          "; the connection cannot be used"));
}

template <typename T>
T Load(const std::byte* in) {
  T value;
  std::memcpy(&value, in, sizeof(value));
  return value;
}

template <typename T>
void Store(const T& value, std::byte* out) {
  std::memcpy(out, &value, sizeof(value));
}

}  // namespace

void Encode(const FrameHeader& header, std::byte* out) {
  Store(WireHeader{.magic = kMagic,
                   .version = kWireVersion,
                   .kind = static_cast<uint8_t>(header.kind),
                   .entries = header.entries,
                   .payload_bytes = header.payload_bytes,
                   .target = header.target.bytes()},
        out);
}

void Encode(const HelloEntry& entry, std::byte* out) {
  Store(
      WireHello{
          .session = entry.session.bytes(), .stream = entry.stream, .zero = {}},
      out);
}

void Encode(const RequestEntry& entry, std::byte* out) {
  Store(WireRequest{.id = entry.id,
                    .length = entry.length,
                    .address = entry.address,
                    .generation = entry.generation,
                    .crc32c = entry.crc32c,
                    .operation = static_cast<uint8_t>(entry.operation),
                    .checked = entry.checked,
                    .zero = 0},
        out);
}

void Encode(const ResponseEntry& entry, std::byte* out) {
  Store(WireResponse{.id = entry.id,
                     .count = entry.count,
                     .length = entry.length,
                     .crc32c = entry.crc32c,
                     .code = static_cast<uint8_t>(entry.code),
                     .checked = entry.checked,
                     .zero = {}},
        out);
}

absl::StatusOr<FrameHeader> DecodeHeader(const std::byte* in) {
  const auto wire = Load<WireHeader>(in);
  if (wire.magic != kMagic) return Malformed("magic", wire.magic);
  if (wire.version != kWireVersion) return Malformed("version", wire.version);
  if (wire.kind < static_cast<uint8_t>(FrameKind::kHello) ||
      wire.kind > static_cast<uint8_t>(FrameKind::kResponses)) {
    return Malformed("kind", wire.kind);
  }
  if (wire.entries == 0 || wire.entries > kMaxEntries) {
    return Malformed("number of entries", wire.entries);
  }
  if (wire.payload_bytes > kMaxPayloadBytes) {
    return Malformed("payload length", wire.payload_bytes);
  }
  return FrameHeader{.kind = static_cast<FrameKind>(wire.kind),
                     .entries = wire.entries,
                     .payload_bytes = wire.payload_bytes,
                     .target = Incarnation(wire.target)};
}

absl::StatusOr<HelloEntry> DecodeHello(const std::byte* in) {
  const auto wire = Load<WireHello>(in);
  return HelloEntry{.session = Incarnation(wire.session),
                    .stream = wire.stream};
}

absl::StatusOr<RequestEntry> DecodeRequest(const std::byte* in) {
  const auto wire = Load<WireRequest>(in);
  if (wire.operation > static_cast<uint8_t>(Operation::kWrite)) {
    return Malformed("operation", wire.operation);
  }
  if (wire.length == 0 || wire.length > kMaxSliceBytes) {
    return Malformed("request length", wire.length);
  }
  return RequestEntry{.id = wire.id,
                      .operation = static_cast<Operation>(wire.operation),
                      .length = wire.length,
                      .address = wire.address,
                      .generation = wire.generation,
                      .checked = wire.checked != 0,
                      .crc32c = wire.crc32c};
}

absl::StatusOr<ResponseEntry> DecodeResponse(const std::byte* in) {
  const auto wire = Load<WireResponse>(in);
  if (wire.code > static_cast<uint8_t>(absl::StatusCode::kUnauthenticated)) {
    return Malformed("status code", wire.code);
  }
  const auto code = static_cast<absl::StatusCode>(wire.code);
  if (code != absl::StatusCode::kOk && wire.length > kMaxErrorTextBytes) {
    return Malformed("error text length", wire.length);
  }
  if (wire.count == 0) return Malformed("response count", wire.count);
  if (wire.count > 1 && (code != absl::StatusCode::kOk || wire.length != 0)) {
    return Malformed("response count of a single answer", wire.count);
  }
  return ResponseEntry{.id = wire.id,
                       .count = wire.count,
                       .code = code,
                       .length = wire.length,
                       .checked = wire.checked != 0,
                       .crc32c = wire.crc32c};
}

}  // namespace te::tcp
