#ifndef TE_METADATA_IN_PROCESS_STORE_H_
#define TE_METADATA_IN_PROCESS_STORE_H_

#include <stddef.h>
#include <stdint.h>

#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "te/base/clock.h"
#include "te/base/mutex.h"
#include "te/metadata/metadata_store.h"

namespace te {

struct InProcessStoreOptions {
  // Put of one more, or of more bytes in keys and values together, fails with
  // RESOURCE_EXHAUSTED.
  size_t max_keys = 4096;
  size_t max_bytes = size_t{1} << 30;
};

// All that a store holds, apart from how much of each lease is left.
struct StoreContents {
  struct Entry {
    std::string key;
    StoredValue stored;
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
  // `clock` is borrowed.
  explicit InProcessStore(const InProcessStoreOptions& options = {},
                          const Clock& clock = RealClock())
      : options_(options), clock_(clock) {}

  absl::StatusOr<uint64_t> Put(absl::string_view key, absl::string_view value,
                               const PutOptions& options,
                               MonotonicTime deadline) override;
  absl::Status Renew(absl::string_view key, uint64_t version, Duration lease,
                     MonotonicTime deadline) override;
  absl::StatusOr<StoredValue> Get(absl::string_view key,
                                  MonotonicTime deadline) override;
  absl::StatusOr<std::vector<std::string>> List(
      absl::string_view prefix, MonotonicTime deadline) override;
  absl::Status Remove(absl::string_view key,
                      std::optional<uint64_t> expected_version,
                      MonotonicTime deadline) override;

  // What is in it now.
  StoreContents Export();
  // Takes the place of all that is in it. Leases begin anew. INVALID_ARGUMENT,
  // and no change, for what no store can hold: keys that are not sorted, come
  // twice or are beyond the limits, versions above the last one.
  // RESOURCE_EXHAUSTED for more than fits.
  absl::Status Import(const StoreContents& contents);
  // Forgets what has expired, which otherwise happens when somebody asks.
  void Sweep();
  // Grows with each change that Export shows; expiry is none.
  uint64_t changes() const;

 private:
  struct Entry {
    StoredValue stored;
    Duration lease;
    MonotonicTime expiry;
  };
  // In the order of List.
  using Entries = std::map<std::string, Entry, std::less<>>;

  // The entry, unless it has expired; then it is gone afterwards.
  Entry* Find(absl::string_view key) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Entries::iterator Erase(Entries::iterator entry)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Whether a key may take that value.
  bool HasRoom(absl::string_view key, absl::string_view value)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status CheckVersion(absl::string_view key,
                            std::optional<uint64_t> expected)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RemoveExpired() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  MonotonicTime ExpiryOf(Duration lease) const;

  const InProcessStoreOptions options_;
  const Clock& clock_;
  mutable Mutex mutex_;
  Entries entries_ ABSL_GUARDED_BY(mutex_);
  // In keys and values.
  size_t bytes_ ABSL_GUARDED_BY(mutex_) = 0;
  // One count for all keys, so that a key put again after its removal gets a
  // higher version without a tombstone.
  uint64_t last_version_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t changes_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace te

#endif  // TE_METADATA_IN_PROCESS_STORE_H_
