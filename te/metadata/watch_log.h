#ifndef TE_METADATA_WATCH_LOG_H_
#define TE_METADATA_WATCH_LOG_H_

#include <stddef.h>
#include <stdint.h>

#include <functional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "te/base/clock.h"
#include "te/base/mutex.h"
#include "te/metadata/metadata_store.h"

namespace te {

// What a watch was told, for tests. Outlives the watch. Thread-safe.
class WatchLog {
 public:
  struct Event {
    WatchEvent::Kind kind;
    std::string key;
    uint64_t version;
    absl::Status status;
  };

  WatchCallback callback();

  // Each looks at what was told since the event that the last one found, and
  // waits for it. False when it does not come.
  bool AwaitBegun();
  bool AwaitChange(const std::string& key, uint64_t version);
  // OK when it does not come.
  absl::Status AwaitBroken();
  // kBegun, which is OK, or kBroken.
  absl::Status AwaitBeginning();

  std::vector<Event> events();

 private:
  bool Await(const std::function<bool(const Event&)>& matches);

  Mutex mutex_;
  CondVar told_;
  std::vector<Event> events_ ABSL_GUARDED_BY(mutex_);
  // How many of them were looked at.
  size_t seen_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace te

#endif  // TE_METADATA_WATCH_LOG_H_
