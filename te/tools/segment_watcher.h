#ifndef TE_TOOLS_SEGMENT_WATCHER_H_
#define TE_TOOLS_SEGMENT_WATCHER_H_

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "te/base/clock.h"
#include "te/base/mutex.h"
#include "te/base/unique_fd.h"
#include "te/metadata/metadata_store.h"
#include "te/metadata/segment_parts.h"

namespace te::tools {

// Tells what happens to the segments of a store: "new", "changed", "gone", and
// "wrong" of entries that are no segments. For one thread.
class SegmentWatcher {
 public:
  using OnEvent =
      std::function<void(absl::string_view what, const std::string& name,
                         const absl::StatusOr<SegmentSnapshot>& segment)>;

  // Watches the segments whose names begin with `prefix`. The store is
  // borrowed; `call_time` bounds each of its calls.
  static absl::StatusOr<std::unique_ptr<SegmentWatcher>> Create(
      MetadataStore& store, const std::string& prefix, Duration call_time,
      OnEvent on_event);

  // Readable when there is something for Look.
  int fd() const { return news_fd_.get(); }
  // Tells what the store has told of, or, `at_all`, everything that is
  // different from what was told before: not all stores tell of leases that
  // end. An error is the store's, or that it tells nothing at present; either
  // passes.
  absl::Status Look(bool at_all = false);

 private:
  SegmentWatcher(MetadataStore& store, const std::string& prefix,
                 Duration call_time, OnEvent on_event, UniqueFd news_fd);

  // On a thread of the store's.
  void OnNews(const WatchEvent& event);
  MonotonicTime Deadline() const;
  absl::Status LookAt(const std::set<std::string>& names);
  absl::Status LookAtAll();
  void Tell(const std::string& name,
            const absl::StatusOr<SegmentSnapshot>& segment);

  MetadataStore& store_;
  const std::string prefix_;
  const Duration call_time_;
  const OnEvent on_event_;
  const UniqueFd news_fd_;
  // What was told: the revisions, 0 for what is wrong.
  std::map<std::string, uint64_t> told_;

  Mutex mutex_;
  std::set<std::string> changed_ ABSL_GUARDED_BY(mutex_);
  bool look_at_all_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status broken_ ABSL_GUARDED_BY(mutex_);

  // Last: ended first.
  std::unique_ptr<StoreWatch> watch_;
};

}  // namespace te::tools

#endif  // TE_TOOLS_SEGMENT_WATCHER_H_
