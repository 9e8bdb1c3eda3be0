#ifndef TE_METADATA_METADATA_WATCHES_H_
#define TE_METADATA_METADATA_WATCHES_H_

#include <stddef.h>

#include <functional>
#include <memory>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "grpcpp/server_context.h"
#include "te/base/mutex.h"
#include "te/base/thread.h"
#include "te/metadata/metadata_access.h"
#include "te/metadata/metadata_store.h"
#include "te/metadata/metadata_watch_stream.h"

namespace te {

struct MetadataWatchesOptions {
  // Of all clients together; one more is refused with RESOURCE_EXHAUSTED.
  size_t max_watches = 65536;
  // Clients that watch, likewise.
  size_t max_streams = 4096;
  // Called when a watch begins, and when it ends; may be empty.
  std::function<void(const MetadataAccess&)> on_access;
};

// The watches of a server's clients. One thread, te-watch, which the first
// client starts, writes to those that have nothing under way, so that a store
// that tells of a change does not wait for sockets. Thread-safe. Outlives the
// server that it gives streams to.
class MetadataWatches final : private MetadataWatchStream::Host {
 public:
  // `store` is borrowed.
  MetadataWatches(MetadataStore& store, MetadataWatchesOptions options);
  ~MetadataWatches() override;

  // A new client. The stream ends by itself if there cannot be one.
  MetadataWatchStream* Add(grpc::CallbackServerContext& context);

  // Ends all streams, and those that come later at once.
  void EndAll();

 private:
  absl::Status Reserve() override;
  void Release() override;
  void Ready(std::shared_ptr<MetadataWatchStream> stream) override;
  void Report(const MetadataAccess& access) override;
  void Done(MetadataWatchStream& stream) override;

  // Whether there may be one stream more; starts the thread.
  absl::Status Admit() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void WriteAll();

  MetadataStore& store_;
  const MetadataWatchesOptions options_;
  Mutex mutex_;
  CondVar changed_;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;    // EndAll
  bool stopped_ ABSL_GUARDED_BY(mutex_) = false;  // of the thread
  size_t watches_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::flat_hash_map<MetadataWatchStream*,
                      std::shared_ptr<MetadataWatchStream>>
      streams_ ABSL_GUARDED_BY(mutex_);
  // Each of them once.
  std::vector<std::shared_ptr<MetadataWatchStream>> ready_
      ABSL_GUARDED_BY(mutex_);
  Thread thread_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace te

#endif  // TE_METADATA_METADATA_WATCHES_H_
