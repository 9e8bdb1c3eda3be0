#ifndef TE_METADATA_METADATA_WATCH_STREAM_H_
#define TE_METADATA_METADATA_WATCH_STREAM_H_

#include <stdint.h>

#include <map>
#include <memory>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/server_callback.h"
#include "te/base/clock.h"
#include "te/base/mutex.h"
#include "te/metadata/metadata_access.h"
#include "te/metadata/metadata_service.pb.h"
#include "te/metadata/metadata_store.h"
#include "te/metadata/watch_queue.h"

namespace te {

// The watches of one client: a call of Metadata.Watch at the server. Costs no
// thread. What the store tells goes into a WatchQueue, from where one message
// at a time is written: a client that does not read holds up nobody, and costs
// bounded memory.
//
// Owned by its host, from before gRPC knows of it until Host::Done.
// Thread-safe.
class MetadataWatchStream final
    : public grpc::ServerBidiReactor<metadata::v1::WatchRequest,
                                     metadata::v1::WatchResponse>,
      public std::enable_shared_from_this<MetadataWatchStream> {
 public:
  // What streams have in common. Outlives them; thread-safe.
  class Host {
   public:
    virtual ~Host() = default;

    // One watch more, of all clients', if there may be one; and one fewer.
    virtual absl::Status Reserve() = 0;
    virtual void Release() = 0;
    // There is something to write: calls Write, on a thread that is not the
    // store's. Must not block; a lock of the store's is held.
    virtual void Ready(std::shared_ptr<MetadataWatchStream> stream) = 0;
    virtual void Report(const MetadataAccess& access) = 0;
    // gRPC is done with it.
    virtual void Done(MetadataWatchStream& stream) = 0;
  };

  // All are borrowed, `context` until Done.
  MetadataWatchStream(MetadataStore& store, Host& host,
                      grpc::CallbackServerContext& context);
  // It is Done.
  ~MetadataWatchStream() override = default;

  // Reads the first message. Once, before anything else.
  void Start() { StartRead(&request_); }
  // Starts to write what there is, unless a message is under way. Whoever calls
  // it shares in owning it.
  void Write();
  // Ends its watches at once, and the call with this status when what is being
  // written has gone out; the first one counts. Not while a lock is held that
  // the store's callbacks take.
  void End(const absl::Status& status);
  // The same, but if something is being written, without a status. Whoever
  // calls it shares in owning it.
  void EndNow(const absl::Status& status);

  // Of grpc::ServerBidiReactor. A client that is gone shows in what is being
  // read or written: one of both always is.
  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnDone() override;

 private:
  struct Watch {
    std::string key;
    MonotonicTime begin;
    // Null while the store is being asked.
    std::unique_ptr<StoreWatch> watch;
  };

  void WriteNext();
  absl::Status Handle();
  void BeginWatch(uint64_t id, const WatchScope& scope);
  absl::StatusOr<std::unique_ptr<StoreWatch>> Ask(uint64_t id,
                                                  const WatchScope& scope);
  void EndWatch(uint64_t id);
  // Of a watch that is not among watches_ any more.
  void Close(Watch watch);
  void Report(const std::string& key, const absl::Status& status,
              Duration duration);
  // Whether the host is to be told that there is something to write.
  bool NeedsWrite() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Whether a request more may be read now.
  bool MayRead() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  MetadataStore& store_;
  Host& host_;
  grpc::CallbackServerContext& context_;
  const std::string peer_;

  // Only one read and one write are under way at a time; these are theirs.
  metadata::v1::WatchRequest request_;
  metadata::v1::WatchResponse response_;
  // The highest so far; of the reader.
  uint64_t last_id_ = 0;

  // Taken by the store's callbacks, with the store's own locks held.
  Mutex mutex_;
  std::map<uint64_t, Watch> watches_ ABSL_GUARDED_BY(mutex_);
  WatchQueue queue_ ABSL_GUARDED_BY(mutex_);
  // The host knows that there is something to write.
  bool announced_ ABSL_GUARDED_BY(mutex_) = false;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  // The next request waits until the client has read more.
  bool held_up_ ABSL_GUARDED_BY(mutex_) = false;
  bool ended_ ABSL_GUARDED_BY(mutex_) = false;
  absl::Status status_ ABSL_GUARDED_BY(mutex_);  // how, once ended_
};

}  // namespace te

#endif  // TE_METADATA_METADATA_WATCH_STREAM_H_
