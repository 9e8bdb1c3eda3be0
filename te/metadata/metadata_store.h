#ifndef TE_METADATA_METADATA_STORE_H_
#define TE_METADATA_METADATA_STORE_H_

#include <stddef.h>
#include <stdint.h>

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "te/base/clock.h"

namespace te {

struct StoredValue {
  std::string value;
  uint64_t version = 0;

  friend bool operator==(const StoredValue&, const StoredValue&) = default;
};

// Where engines leave small values for each other: a map from keys to bytes
// with compare-and-set. Every implementation runs metadata_store_conformance.
//
// Versions. Every successful Put gives the key a version that is not zero and
// higher than any it had before, removals included: an equal version means that
// nothing happened in between, as long as the store keeps its data.
//
// Thread-safe. Calls of one thread are seen in their order, and a value put is
// seen by every Get that begins later, of whatever engine.
//
// Errors of every call: INVALID_ARGUMENT for a key or value beyond the limits
// below; DEADLINE_EXCEEDED when the deadline passes first; UNAVAILABLE when the
// store cannot be reached. After these two a change may or may not have
// happened, but a call whose deadline had passed when it began changes nothing.
// The text names the key.
class MetadataStore {
 public:
  // What an `expected_version` of this value demands: that there is no such
  // key.
  static constexpr uint64_t kAbsent = 0;

  static constexpr size_t kMaxKeyBytes = 1024;
  static constexpr size_t kMaxValueBytes = size_t{16} << 20;

  virtual ~MetadataStore() = default;

  // Stores a value and returns its version. With an `expected_version`, only if
  // that is the present one; ABORTED, and no change, otherwise.
  // RESOURCE_EXHAUSTED when the store is full.
  virtual absl::StatusOr<uint64_t> Put(absl::string_view key,
                                       absl::string_view value,
                                       std::optional<uint64_t> expected_version,
                                       MonotonicTime deadline) = 0;

  // The value and its version; NOT_FOUND when there is none.
  virtual absl::StatusOr<StoredValue> Get(absl::string_view key,
                                          MonotonicTime deadline) = 0;

  // Removes the key; NOT_FOUND when there is none. With an `expected_version`,
  // only if that is the present one; ABORTED, and no change, otherwise.
  virtual absl::Status Remove(absl::string_view key,
                              std::optional<uint64_t> expected_version,
                              MonotonicTime deadline) = 0;
};

}  // namespace te

#endif  // TE_METADATA_METADATA_STORE_H_
