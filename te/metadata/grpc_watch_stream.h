#ifndef TE_METADATA_GRPC_WATCH_STREAM_H_
#define TE_METADATA_GRPC_WATCH_STREAM_H_

#include <stdint.h>

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "grpcpp/channel.h"
#include "grpcpp/client_context.h"
#include "grpcpp/support/client_callback.h"
#include "grpcpp/support/status.h"
#include "te/base/clock.h"
#include "te/base/mutex.h"
#include "te/metadata/metadata_service.grpc.pb.h"
#include "te/metadata/metadata_service.pb.h"
#include "te/metadata/metadata_store.h"
#include "te/metadata/watch_hub.h"

namespace te {

// One call of Metadata.Watch: all watches of a client's, and what the server
// tells of them, which goes to a hub. The answers may be anything; such as no
// server gives end the call with DATA_LOSS. Thread-safe.
class GrpcWatchStream final
    : public grpc::ClientBidiReactor<metadata::v1::WatchRequest,
                                     metadata::v1::WatchResponse> {
 public:
  // `server` is what is called, in messages. `hub` is borrowed.
  GrpcWatchStream(absl::string_view server,
                  const std::shared_ptr<grpc::Channel>& channel, WatchHub& hub);
  // Run has returned, or has never been called.
  ~GrpcWatchStream() override = default;

  // The server is to tell of this scope from now on, or no more: not both at
  // once of the same. Nothing is sent by these, nor do they call the hub.
  void Begin(const WatchScope& scope);
  void End(const WatchScope& scope);

  // Makes the call, and returns when it has ended, with the cause. Once.
  absl::Status Run();
  // Makes Run return soon, also if it has yet to be called.
  void Cancel();

  // Whether the server has told anything.
  bool answered() const;

  // Of grpc::ClientBidiReactor.
  void OnReadDone(bool ok) override;
  void OnWriteDone(bool ok) override;
  void OnDone(const grpc::Status& status) override;

 private:
  // What response_ says; an error if no server says so.
  absl::Status Handle();
  absl::Status HandleEvent(const WatchScope& scope);
  absl::Status HandleBroken(const WatchScope& scope);
  absl::Status Wrong(absl::string_view what) const;
  // The watch that the response is about; nullopt if it has been ended
  // meanwhile.
  absl::StatusOr<std::optional<WatchScope>> ScopeOf(uint64_t id) const;

  void BeginLocked(const WatchScope& scope)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void EndLocked(const WatchScope& scope) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // The next request, into request_; false if there is none, or cannot be.
  bool TakeRequest() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Begins again what the server has refused, when it is time.
  void RetryRefused() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::string server_;
  const std::unique_ptr<metadata::v1::Metadata::Stub> stub_;
  WatchHub& hub_;
  grpc::ClientContext context_;
  // Only one read and one write are under way at a time; these are theirs.
  metadata::v1::WatchRequest request_;
  metadata::v1::WatchResponse response_;

  // Taken with the hub's lock held.
  mutable Mutex mutex_;
  CondVar changed_;
  uint64_t last_id_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::flat_hash_map<WatchScope, uint64_t> ids_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<uint64_t, WatchScope> scopes_ ABSL_GUARDED_BY(mutex_);
  // To be sent: what begins, or nullopt for an end.
  std::map<uint64_t, std::optional<WatchScope>> requests_
      ABSL_GUARDED_BY(mutex_);
  // Among scopes_, but not at the server.
  std::set<uint64_t> refused_ ABSL_GUARDED_BY(mutex_);
  MonotonicTime retry_ ABSL_GUARDED_BY(mutex_) = kNoDeadline;
  Duration retry_pause_ ABSL_GUARDED_BY(mutex_);
  bool answered_ ABSL_GUARDED_BY(mutex_) = false;
  bool writing_ ABSL_GUARDED_BY(mutex_) = false;
  bool read_ended_ ABSL_GUARDED_BY(mutex_) = false;
  bool done_ ABSL_GUARDED_BY(mutex_) = false;
  // The first cause that is known.
  absl::Status status_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace te

#endif  // TE_METADATA_GRPC_WATCH_STREAM_H_
