#ifndef TE_METADATA_WATCH_EVENTS_H_
#define TE_METADATA_WATCH_EVENTS_H_

#include <stddef.h>
#include <stdint.h>

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "te/base/mutex.h"
#include "te/metadata/metadata_store.h"

namespace te {

// What a watch was told, for tests. Each Await looks behind what the one before
// has found, and gives up after a minute. Outlives the watch. Thread-safe.
class WatchEvents {
 public:
  struct Event {
    WatchEvent::Kind kind = WatchEvent::Kind::kBegun;
    std::string key;
    uint64_t version = 0;
    absl::Status status;
  };

  WatchCallback callback();

  bool AwaitBegun();
  bool AwaitChange(absl::string_view key, uint64_t version);
  // With what it is broken; OK if it is not.
  absl::Status AwaitBroken();

  // The next kBegun, which is OK, or kBroken.
  absl::Status AwaitBeginning();

  std::vector<Event> events() const;
  // Whether any change of the key was told.
  bool HasChangeOf(absl::string_view key) const;
  size_t count() const;

 private:
  std::optional<Event> Await(const std::function<bool(const Event&)>& matches);

  mutable Mutex mutex_;
  CondVar told_;
  std::vector<Event> events_ ABSL_GUARDED_BY(mutex_);
  size_t seen_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace te

#endif  // TE_METADATA_WATCH_EVENTS_H_
