#ifndef TE_METADATA_WATCH_HUB_H_
#define TE_METADATA_WATCH_HUB_H_

#include <stddef.h>
#include <stdint.h>

#include <functional>
#include <memory>
#include <set>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "te/base/mutex.h"
#include "te/metadata/metadata_store.h"

namespace te {

struct WatchHubOptions {
  // One more is refused with RESOURCE_EXHAUSTED.
  size_t max_watches = 65536;
  // Whether watches begin at once, as where changes are made in this process.
  // Otherwise they wait for Begin.
  bool begins_at_once = false;
  // Called when a scope gets its first watch (true) or has lost its last one
  // (false), in that order, with the hub's lock held: must be quick, and must
  // not call the hub. May be empty.
  std::function<void(const WatchScope&, bool)> on_scope;
};

// Hands the changes that a store hears of to the watches that ask for them.
// Callbacks run one at a time, with the hub's lock held, so that the events of
// a watch come in order and none comes after its end. Thread-safe; outlives its
// watches.
class WatchHub {
 public:
  explicit WatchHub(WatchHubOptions options) : options_(std::move(options)) {}
  ~WatchHub();

  // As MetadataStore::Watch.
  absl::StatusOr<std::unique_ptr<StoreWatch>> Add(const WatchScope& scope,
                                                  WatchCallback on_event);

  // `key` has changed; see WatchEvent::version.
  void Change(absl::string_view key, uint64_t version);
  // The changes of a scope are heard of from now on. Watches that it gets later
  // begin at once.
  void Begin(const WatchScope& scope);
  // Those of one scope, or of all, are not.
  void Break(const WatchScope& scope, const absl::Status& why);
  void BreakAll(const absl::Status& why);

  // Whether it has watches.
  bool Has(const WatchScope& scope) const;
  // That have watches.
  std::vector<WatchScope> Scopes() const;

 private:
  class Watch;
  struct Scope {
    std::set<Watch*> watches;
    bool begun = false;
    // Why it has not, if that was told.
    absl::Status status;
  };

  void Remove(Watch* watch);
  void Tell(const WatchScope& scope, const WatchEvent& event)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void BreakLocked(const WatchScope& scope, const absl::Status& why)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const WatchHubOptions options_;
  mutable Mutex mutex_;
  size_t watches_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::flat_hash_map<WatchScope, Scope> scopes_ ABSL_GUARDED_BY(mutex_);
  // How many of the scopes are prefixes of each length, so that a change is
  // looked up once for each length that there is.
  absl::flat_hash_map<size_t, size_t> prefix_lengths_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace te

#endif  // TE_METADATA_WATCH_HUB_H_
