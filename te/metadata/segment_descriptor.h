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
#include "te/base/nic_preference.h"
#include "te/metadata/buffer_table.h"
#include "te/metadata/host_identity.h"
#include "te/metadata/transport_keys.h"

namespace te {

// What one process tells the others about its memory: who it is, where its
// control server listens, which ranges may be accessed, and opaque bytes for
// each transport. A value type. Buffers may overlap.
//
// On the wire it has parts, so that a change costs no more than what changes: a
// head, and the pages of the buffers (te/metadata/segment.proto).
struct SegmentDescriptor {
  // The newest format that this code reads, and the one it writes.
  static constexpr uint32_t kProtocolVersion = 1;

  // Limits, for our own descriptors and for those of others.
  static constexpr size_t kMaxHeadBytes = size_t{12} << 20;
  // Of as many buffers, with as long keys, as a page may have.
  static constexpr size_t kMaxPageBytes = size_t{192} << 10;
  static constexpr size_t kMaxNameBytes = 256;
  static constexpr size_t kMaxControlAddresses = 32;
  static constexpr size_t kMaxBuffers = BufferTable::kMaxBuffers;
  static constexpr size_t kMaxLocations = 1024;
  static constexpr size_t kMaxNics = 256;  // of one location
  static constexpr size_t kMaxNicNameBytes = 64;
  static constexpr size_t kMaxTransports = 16;
  static constexpr size_t kMaxTransportNameBytes = te::kMaxTransportNameBytes;
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
  BufferTable buffers;
  // From the transport's name (IsTransportName) to its bytes.
  std::map<std::string, std::string> transports;
  // From "cpu:0", "cuda:1" or "*". Empty where it is not known.
  std::map<std::string, NicPreference> topology;

  // Reads a peer's bytes, which may be anything. INVALID_ARGUMENT says which
  // field is wrong; UNIMPLEMENTED that the peer speaks a newer format. A head
  // has no buffers, but says in how many `pages` they are, unless that is null;
  // a page must be of `incarnation`, and is ABORTED if it is of another one.
  static absl::StatusOr<SegmentDescriptor> ParseHead(absl::string_view bytes,
                                                     size_t* pages = nullptr);
  static absl::StatusOr<BufferTable::SharedPage> ParsePage(
      absl::string_view bytes, const Incarnation& incarnation);

  // What ParseHead and ParsePage read back to equal values. INVALID_ARGUMENT
  // when this value breaks a rule above. Of an empty page nothing.
  absl::StatusOr<std::string> SerializeHead() const;
  absl::StatusOr<std::string> SerializePage(size_t number) const;

  // The rules above, without the serialized size.
  absl::Status Validate() const;

  friend bool operator==(const SegmentDescriptor&,
                         const SegmentDescriptor&) = default;

 private:
  absl::Status ValidateHead() const;
};

// The rule for segment names, for those who look one up.
absl::Status ValidateSegmentName(absl::string_view name);

}  // namespace te

#endif  // TE_METADATA_SEGMENT_DESCRIPTOR_H_
