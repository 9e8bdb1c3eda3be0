#ifndef TE_METADATA_SEGMENT_DESCRIPTOR_H_
#define TE_METADATA_SEGMENT_DESCRIPTOR_H_

#include <stddef.h>
#include <stdint.h>

#include <map>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "te/base/incarnation.h"
#include "te/base/memory_location.h"
#include "te/metadata/host_identity.h"

namespace te {

// One registered range of a segment.
struct BufferDescriptor {
  uint64_t address = 0;  // in the owner's address space
  uint64_t length = 0;   // bytes; address + length does not overflow
  MemoryLocation location;
  bool remote_read = false;
  bool remote_write = false;
  // Tells this registration from an earlier one of the same range.
  uint64_t generation = 0;

  friend bool operator==(const BufferDescriptor&,
                         const BufferDescriptor&) = default;
};

// What one process tells the others about its memory: who it is, where its
// control server listens, which ranges may be accessed, and opaque bytes for
// each transport. A value type. Buffers may overlap.
struct SegmentDescriptor {
  // The newest format that this code reads, and the one it writes.
  static constexpr uint32_t kProtocolVersion = 1;

  // Limits, for our own descriptors and for those of others.
  static constexpr size_t kMaxBytes = size_t{16} << 20;  // serialized
  static constexpr size_t kMaxNameBytes = 256;
  static constexpr size_t kMaxControlAddresses = 32;
  static constexpr size_t kMaxBuffers = 65536;
  static constexpr size_t kMaxTransports = 16;
  static constexpr size_t kMaxTransportNameBytes = 32;
  static constexpr size_t kMaxAttributeBytes = size_t{8} << 20;

  std::string name;         // printable ASCII, 1 to kMaxNameBytes
  Incarnation incarnation;  // not zero
  uint64_t version = 0;     // 1 or more; grows within an incarnation
  // When the engine started: seconds of Unix time by its host's clock, 0 if
  // unknown. For people.
  uint64_t started_at = 0;
  HostIdentity host;
  // "host:port" with a port other than 0, best first.
  std::vector<std::string> control_addresses;
  std::vector<BufferDescriptor> buffers;
  // From the transport's name (lower-case letters, digits, '_') to its bytes.
  std::map<std::string, std::string> transports;

  // Reads a peer's bytes, which may be anything. INVALID_ARGUMENT says which
  // field is wrong; UNIMPLEMENTED that the peer speaks a newer format.
  static absl::StatusOr<SegmentDescriptor> Parse(absl::string_view bytes);

  // What Parse reads back to an equal value. INVALID_ARGUMENT when this value
  // breaks a rule above.
  absl::StatusOr<std::string> Serialize() const;

  // The rules above, without the serialized size.
  absl::Status Validate() const;

  friend bool operator==(const SegmentDescriptor&,
                         const SegmentDescriptor&) = default;
};

// The rule for segment names, for those who look one up.
absl::Status ValidateSegmentName(absl::string_view name);

}  // namespace te

#endif  // TE_METADATA_SEGMENT_DESCRIPTOR_H_
