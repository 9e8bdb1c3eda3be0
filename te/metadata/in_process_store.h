#ifndef TE_METADATA_IN_PROCESS_STORE_H_
#define TE_METADATA_IN_PROCESS_STORE_H_

#include <stddef.h>
#include <stdint.h>

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "te/base/clock.h"
#include "te/base/mutex.h"
#include "te/metadata/metadata_store.h"
#include "te/metadata/value_part.h"
#include "te/metadata/watch_hub.h"

namespace te {

struct InProcessStoreOptions {
  // Put of one more, or of more bytes in keys and values together, with what it
  // takes to keep them, fails with RESOURCE_EXHAUSTED.
  size_t max_keys = 4096;
  size_t max_bytes = size_t{1} << 30;
  size_t max_watches = 65536;
};

// All that a store holds, apart from how much of each lease is left.
struct StoreContents {
  struct Part {
    ValuePart part;
    uint64_t version = 0;  // of the Put that set it

    friend bool operator==(const Part&, const Part&) = default;
  };
  struct Entry {
    std::string key;
    uint64_t version = 0;
    uint64_t replaced = 0;  // the version that it was put as a whole with
    // Sorted by number. An empty one became so by a later Put than `replaced`.
    std::vector<Part> parts;
    Duration lease = Duration::zero();  // as in PutOptions

    friend bool operator==(const Entry&, const Entry&) = default;
  };

  std::vector<Entry> entries;  // sorted by key
  uint64_t last_version = 0;   // given to any key, maybe to one that is gone

  friend bool operator==(const StoreContents&, const StoreContents&) = default;
};

// A store for several engines in one process: tests, and programs that are both
// ends. Whoever makes the engines owns it and destroys it after them. No call
// waits for anything, so deadlines only matter when they have passed already.
class InProcessStore final : public MetadataStore {
 public:
  // What it takes to keep a key, and a part, about.
  static constexpr size_t kBesideKey = 256;
  static constexpr size_t kBesidePart = 96;

  // `clock` is borrowed, and measures leases.
  explicit InProcessStore(const InProcessStoreOptions& options = {},
                          const Clock& clock = RealClock());

  absl::StatusOr<uint64_t> Put(absl::string_view key,
                               absl::Span<const ValuePartView> parts,
                               const PutOptions& options,
                               MonotonicTime deadline) override;
  absl::Status Renew(absl::string_view key, uint64_t version, Duration lease,
                     MonotonicTime deadline) override;
  absl::StatusOr<StoredValue> Get(absl::string_view key,
                                  const GetOptions& options,
                                  MonotonicTime deadline) override;
  absl::StatusOr<KeyList> List(absl::string_view prefix,
                               absl::string_view after,
                               MonotonicTime deadline) override;
  absl::Status Remove(absl::string_view key,
                      std::optional<uint64_t> expected_version,
                      MonotonicTime deadline) override;
  absl::StatusOr<std::unique_ptr<StoreWatch>> Watch(
      const WatchScope& scope, WatchCallback on_event) override;

  // What is in it now.
  StoreContents Export();
  // Takes the place of all that is in it, which watches are not told. Leases
  // begin anew. INVALID_ARGUMENT, and no change, for what no store can hold:
  // keys or parts that are not sorted, come twice or are beyond the limits,
  // versions above those that contain them.
  // RESOURCE_EXHAUSTED for more than fits.
  absl::Status Import(const StoreContents& contents);
  // Forgets what has expired, which otherwise happens when somebody asks.
  void Sweep();
  // Grows with each change that Export shows; expiry is none.
  uint64_t changes() const;

 private:
  struct Part {
    std::string bytes;
    uint64_t version = 0;
  };
  struct Entry {
    uint64_t version = 0;
    uint64_t replaced = 0;
    std::map<uint32_t, Part> parts;
    size_t bytes = 0;  // in the key and the parts, and beside them
    Duration lease = Duration::zero();
    MonotonicTime expiry;

    void Set(const ValuePart& part, uint64_t part_version);
  };
  // In the order of List.
  using Entries = std::map<std::string, Entry, std::less<>>;

  absl::StatusOr<Entry> FromContents(const StoreContents::Entry& from,
                                     uint64_t last_version) const;

  // The entry, unless it has expired; then it is gone afterwards.
  Entry* Find(absl::string_view key) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Entries::iterator Erase(Entries::iterator entry)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Whether a Put fits.
  bool HasRoom(absl::string_view key, absl::Span<const ValuePartView> parts,
               bool replace) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status CheckVersion(absl::string_view key,
                            std::optional<uint64_t> expected)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RemoveExpired() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  MonotonicTime ExpiryOf(Duration lease) const;

  const InProcessStoreOptions options_;
  const Clock& clock_;
  WatchHub hub_;  // told of changes under mutex_
  mutable Mutex mutex_;
  Entries entries_ ABSL_GUARDED_BY(mutex_);
  // Of all entries.
  size_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  // One count for all keys, so that a key put again after its removal gets a
  // higher version without a tombstone.
  uint64_t last_version_ ABSL_GUARDED_BY(mutex_);
  uint64_t changes_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace te

#endif  // TE_METADATA_IN_PROCESS_STORE_H_
