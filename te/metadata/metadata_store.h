#ifndef TE_METADATA_METADATA_STORE_H_
#define TE_METADATA_METADATA_STORE_H_

#include <stddef.h>
#include <stdint.h>

#include <chrono>
#include <optional>
#include <string>
#include <vector>

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

struct PutOptions {
  // Only if this is the present version; see MetadataStore::kAbsent.
  std::optional<uint64_t> expected_version;
  // The key goes by itself after so long without a Put or Renew; not sooner.
  // Zero: it stays. Whole milliseconds, rounded up.
  Duration lease = Duration::zero();
};

// Where engines leave small values for each other: a map from keys to bytes
// with compare-and-set and leases. Every implementation runs
// metadata_store_conformance.
//
// Versions. Every successful Put gives the key a version that is not zero and
// higher than any it had before, removals included: an equal version means that
// nothing happened in between, as long as the store keeps its data.
//
// Thread-safe. Calls of one thread are seen in their order, and a value put is
// seen by every Get that begins later, of whatever engine.
//
// Errors of every call: INVALID_ARGUMENT for a key, value or lease beyond the
// limits below; DEADLINE_EXCEEDED when the deadline passes first; UNAVAILABLE
// when the store cannot be reached; DATA_LOSS for a key under which others have
// put something. After DEADLINE_EXCEEDED and UNAVAILABLE a change may or may
// not have happened, but a call whose deadline had passed when it began changes
// nothing. The text names the key.
class MetadataStore {
 public:
  // What an `expected_version` of this value demands: that there is no such
  // key.
  static constexpr uint64_t kAbsent = 0;

  static constexpr size_t kMaxKeyBytes = 1024;
  static constexpr size_t kMaxValueBytes = size_t{16} << 20;
  static constexpr Duration kMaxLease = std::chrono::hours(24 * 365);

  virtual ~MetadataStore() = default;

  // Stores a value and returns its version. ABORTED, and no change, if the
  // version is not the expected one. RESOURCE_EXHAUSTED when the store is full.
  virtual absl::StatusOr<uint64_t> Put(absl::string_view key,
                                       absl::string_view value,
                                       const PutOptions& options,
                                       MonotonicTime deadline) = 0;

  // Begins a new lease, as in PutOptions, of a key that is still at `version`,
  // which it keeps. NOT_FOUND when there is none; ABORTED, and no change, when
  // it is at another version.
  virtual absl::Status Renew(absl::string_view key, uint64_t version,
                             Duration lease, MonotonicTime deadline) = 0;

  // The value and its version; NOT_FOUND when there is none.
  virtual absl::StatusOr<StoredValue> Get(absl::string_view key,
                                          MonotonicTime deadline) = 0;

  // All keys that begin with `prefix`, of 1 byte at least, sorted. A key that
  // comes or goes meanwhile may be among them or not.
  virtual absl::StatusOr<std::vector<std::string>> List(
      absl::string_view prefix, MonotonicTime deadline) = 0;

  // Removes the key; NOT_FOUND when there is none. With an `expected_version`,
  // only if that is the present one; ABORTED, and no change, otherwise.
  virtual absl::Status Remove(absl::string_view key,
                              std::optional<uint64_t> expected_version,
                              MonotonicTime deadline) = 0;
};

// For implementations. Whether a call at `now` may begin: the key is within the
// limits above, and the deadline has not passed.
absl::Status ValidateCall(absl::string_view key, MonotonicTime now,
                          MonotonicTime deadline);
// Whether these are within the limits.
absl::Status ValidateValue(absl::string_view key, absl::string_view value);
absl::Status ValidateLease(absl::string_view key, Duration lease);

// A lease as it is written down: in milliseconds, rounded up. What comes back
// may be any number: one that is too large makes a lease that ValidateLease
// refuses.
uint64_t LeaseMilliseconds(Duration lease);
Duration LeaseFromMilliseconds(uint64_t milliseconds);

// The NOT_FOUND and the ABORTED of the calls above.
absl::Status KeyNotFound(absl::string_view key);
absl::Status VersionMismatch(absl::string_view key, uint64_t present,
                             uint64_t expected);

// "metadata key 'te/segment/a'", for errors; long keys are cut, and what cannot
// be printed is escaped.
std::string DescribeKey(absl::string_view key);

}  // namespace te

#endif  // TE_METADATA_METADATA_STORE_H_
