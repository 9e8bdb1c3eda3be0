#ifndef TE_METADATA_GRPC_WATCHER_H_
#define TE_METADATA_GRPC_WATCHER_H_

#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "te/base/clock.h"
#include "te/base/host_port.h"
#include "te/base/mutex.h"
#include "te/base/thread.h"
#include "te/grpc/channel.h"
#include "te/metadata/grpc_watch_stream.h"
#include "te/metadata/metadata_store.h"
#include "te/metadata/watch_hub.h"

namespace te {

// The watches of a client of the metadata server. A thread, te-watch, which the
// first watch starts, keeps one stream to the server while there are watches,
// and makes it again when it has ended: with the server, with the connection
// (a server ends each after some minutes), or because a ping was not answered.
// Thread-safe. Outlives its watches.
class GrpcWatcher {
 public:
  // As for GrpcChannel, which it has one of: pings are for its stream alone,
  // and calls of the store's do not share the server's limit of streams with
  // it.
  GrpcWatcher(absl::string_view server, std::vector<HostPort> addresses,
              GrpcChannelOptions options);
  // Waits for a name to be resolved, at worst, which takes some seconds.
  ~GrpcWatcher();

  // As MetadataStore::Watch. RESOURCE_EXHAUSTED also if there is no thread to
  // be had.
  absl::StatusOr<std::unique_ptr<StoreWatch>> Watch(const WatchScope& scope,
                                                    WatchCallback on_event);

 private:
  absl::Status StartThread();
  // WatchHubOptions::on_scope.
  void OnScope(const WatchScope& scope, bool first);
  void Work();
  // One stream, from its beginning to its end. Whether the server has answered.
  bool RunStream(absl::Status& status);
  // Waits, and tells new watches why they have to wait.
  void Pause(Duration pause, const absl::Status& why);

  GrpcChannel channel_;
  Mutex mutex_;  // taken with the hub's lock held
  CondVar changed_;
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;
  absl::flat_hash_set<WatchScope> wanted_ ABSL_GUARDED_BY(mutex_);
  // Those that have come since the last stream ended.
  absl::flat_hash_set<WatchScope> fresh_ ABSL_GUARDED_BY(mutex_);
  GrpcWatchStream* stream_ ABSL_GUARDED_BY(mutex_) = nullptr;
  WatchHub hub_;
  Thread thread_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace te

#endif  // TE_METADATA_GRPC_WATCHER_H_
