#ifndef TE_METADATA_IN_PROCESS_STORE_H_
#define TE_METADATA_IN_PROCESS_STORE_H_

#include <stddef.h>
#include <stdint.h>

#include <optional>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "te/base/clock.h"
#include "te/base/mutex.h"
#include "te/metadata/metadata_store.h"

namespace te {

struct InProcessStoreOptions {
  // Put of one more fails with RESOURCE_EXHAUSTED.
  size_t max_keys = 4096;
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
                               std::optional<uint64_t> expected_version,
                               MonotonicTime deadline) override;
  absl::StatusOr<StoredValue> Get(absl::string_view key,
                                  MonotonicTime deadline) override;
  absl::Status Remove(absl::string_view key,
                      std::optional<uint64_t> expected_version,
                      MonotonicTime deadline) override;

 private:
  absl::Status Check(absl::string_view key, MonotonicTime deadline) const;
  absl::Status CheckVersion(absl::string_view key,
                            std::optional<uint64_t> expected) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const InProcessStoreOptions options_;
  const Clock& clock_;
  mutable Mutex mutex_;
  absl::flat_hash_map<std::string, StoredValue> values_ ABSL_GUARDED_BY(mutex_);
  // One count for all keys, so that a key put again after its removal gets a
  // higher version without a tombstone.
  uint64_t last_version_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace te

#endif  // TE_METADATA_IN_PROCESS_STORE_H_
