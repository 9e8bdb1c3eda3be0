#ifndef TE_METADATA_METADATA_STORE_H_
#define TE_METADATA_METADATA_STORE_H_

#include <stddef.h>
#include <stdint.h>

#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "te/base/clock.h"
#include "te/metadata/value_part.h"

namespace te {

// A value, or what has changed of it.
struct StoredValue {
  uint64_t version = 0;
  // In the order of their numbers, none twice.
  std::vector<ValuePart> parts;
  // Whether parts that are missing are empty. If not, they are as they were at
  // GetOptions::since.
  bool whole = true;
  // Not zero: there are more parts, from this number on; ask for them with
  // GetOptions::first_part.
  uint32_t next_part = 0;

  friend bool operator==(const StoredValue&, const StoredValue&) = default;
};

struct PutOptions {
  // Only if this is the present version; see MetadataStore::kAbsent.
  std::optional<uint64_t> expected_version;
  // The key goes by itself after so long without a Put or Renew; not sooner.
  // Zero: it stays. Whole milliseconds, rounded up.
  Duration lease = Duration::zero();
  // Parts that are not named become empty, instead of staying as they are.
  bool replace = false;
};

struct GetOptions {
  // A version that the caller has seen: only what was put after it is asked
  // for. Zero, or one from before the key was put with `replace`: everything.
  uint64_t since = 0;
  uint32_t first_part = 0;
  // After so many bytes the answer ends, though not before its first part.
  size_t max_bytes = size_t{4} << 20;
};

// A page of keys, sorted.
struct KeyList {
  std::vector<std::string> keys;
  // There are more behind the last one.
  bool more = false;

  friend bool operator==(const KeyList&, const KeyList&) = default;
};

// The keys that a watch is about: one, or all that begin with it.
struct WatchScope {
  std::string key;
  bool prefix = false;

  friend bool operator==(const WatchScope&, const WatchScope&) = default;
  template <typename H>
  friend H AbslHashValue(H h, const WatchScope& scope) {
    return H::combine(std::move(h), scope.key, scope.prefix);
  }
};

struct WatchEvent {
  enum class Kind {
    // From here on changes are told. What was changed before was not, so this
    // is the time to look. Comes first, and again whenever something may have
    // been missed.
    kBegun,
    // `key` was put, or removed. Events may come late, out of order, or once
    // for several changes; the last change of a key is always told.
    kChanged,
    // Changes are not told at present, because of `status`. Is tried again, and
    // kBegun follows.
    kBroken,
  };
  Kind kind = Kind::kBegun;
  absl::string_view key = {};
  // At kChanged: the version put, or MetadataStore::kAbsent.
  uint64_t version = 0;
  absl::Status status = {};
};

// Must not block, nor call the store or end a watch.
using WatchCallback = std::function<void(const WatchEvent&)>;

// A watch; destroying it ends it, after which its callback does not run any
// more. So a lock that the callback takes must not be held then.
class StoreWatch {
 public:
  virtual ~StoreWatch() = default;
};

// Where engines leave small values for each other: a map from keys to bytes
// with compare-and-set, leases and watches. Every implementation runs
// metadata_store_conformance.
//
// Parts. A value has numbered parts, so that a change of a large one costs what
// the change costs. Most have part 0 alone. A part that is empty and one that
// does not exist are the same.
//
// Versions. Every successful Put gives the key a version that is not zero and
// higher than any it had before, removals included: an equal version means that
// nothing happened in between. A store that has lost its data goes on from the
// time of its clock (FirstVersion), which is above all that it gave before.
//
// Thread-safe. Calls of one thread are seen in their order, and a value put is
// seen by every Get that begins later, of whatever engine.
//
// Errors of every call: INVALID_ARGUMENT for a key, part, value or lease beyond
// the limits below; DEADLINE_EXCEEDED when the deadline passes first;
// UNAVAILABLE when the store cannot be reached; DATA_LOSS for a key under which
// others have put something. After DEADLINE_EXCEEDED and UNAVAILABLE a change
// may or may not have happened, but a call whose deadline had passed when it
// began changes nothing. The text names the key.
class MetadataStore {
 public:
  // What an `expected_version` of this value demands: that there is no such
  // key.
  static constexpr uint64_t kAbsent = 0;

  static constexpr size_t kMaxKeyBytes = 1024;
  static constexpr uint32_t kMaxParts = 8192;
  // In the parts of one Put, and of one answer, together.
  static constexpr size_t kMaxValueBytes = size_t{16} << 20;
  static constexpr Duration kMaxLease = std::chrono::hours(24 * 365);

  virtual ~MetadataStore() = default;

  // Stores parts of a value, all at once, and returns its new version. ABORTED,
  // and no change, if the version is not the expected one. RESOURCE_EXHAUSTED
  // when the store is full.
  virtual absl::StatusOr<uint64_t> Put(absl::string_view key,
                                       absl::Span<const ValuePartView> parts,
                                       const PutOptions& options,
                                       MonotonicTime deadline) = 0;

  // Begins a new lease, as in PutOptions, of a key that is still at `version`,
  // which it keeps. NOT_FOUND when there is none; ABORTED, and no change, when
  // it is at another version.
  virtual absl::Status Renew(absl::string_view key, uint64_t version,
                             Duration lease, MonotonicTime deadline) = 0;

  // The value and its version; NOT_FOUND when there is none.
  virtual absl::StatusOr<StoredValue> Get(absl::string_view key,
                                          const GetOptions& options,
                                          MonotonicTime deadline) = 0;

  // The same for many keys, in their order. Stores that can ask for all of them
  // at once do so.
  virtual std::vector<absl::StatusOr<StoredValue>> GetMany(
      absl::Span<const std::string> keys, const GetOptions& options,
      MonotonicTime deadline);

  // Keys that begin with `prefix`, of 1 byte at least, and stand behind
  // `after`, which may be empty: about a megabyte of them, and one at least if
  // there is one. A key that comes or goes meanwhile may be among them or not.
  virtual absl::StatusOr<KeyList> List(absl::string_view prefix,
                                       absl::string_view after,
                                       MonotonicTime deadline) = 0;

  // Removes the key; NOT_FOUND when there is none. With an `expected_version`,
  // only if that is the present one; ABORTED, and no change, otherwise.
  virtual absl::Status Remove(absl::string_view key,
                              std::optional<uint64_t> expected_version,
                              MonotonicTime deadline) = 0;

  // Tells `on_event` of changes within the scope from now on, on threads of the
  // store's. Returns at once; kBegun or kBroken says how it went. The end of a
  // lease is told if the store notices it (Redis does not). Watches end before
  // the store does. INVALID_ARGUMENT for a bad scope; RESOURCE_EXHAUSTED for
  // one watch too many.
  virtual absl::StatusOr<std::unique_ptr<StoreWatch>> Watch(
      const WatchScope& scope, WatchCallback on_event) = 0;
};

// All keys that begin with `prefix`, sorted.
absl::StatusOr<std::vector<std::string>> ListAll(MetadataStore& store,
                                                 absl::string_view prefix,
                                                 MonotonicTime deadline);

// For implementations. Whether a call at `now` may begin: the key is within the
// limits above, and the deadline has not passed.
absl::Status ValidateCall(absl::string_view key, MonotonicTime now,
                          MonotonicTime deadline);
// Whether these are within the limits, in order, and none comes twice.
absl::Status ValidateParts(absl::string_view key,
                           absl::Span<const ValuePartView> parts);
absl::Status ValidateLease(absl::string_view key, Duration lease);
absl::Status ValidateScope(const WatchScope& scope);

// What a store without data counts its versions from: microseconds of Unix
// time, by this host's clock.
uint64_t FirstVersion();

// Of the keys in one answer to List, about.
inline constexpr size_t kListBytes = size_t{1} << 20;

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
