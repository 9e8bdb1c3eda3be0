#ifndef TE_METADATA_METADATA_SERVICE_H_
#define TE_METADATA_METADATA_SERVICE_H_

#include <stddef.h>

#include <chrono>
#include <functional>
#include <string>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/server_callback.h"
#include "grpcpp/support/status.h"
#include "te/base/clock.h"
#include "te/metadata/metadata_access.h"
#include "te/metadata/metadata_service.grpc.pb.h"
#include "te/metadata/metadata_service.pb.h"
#include "te/metadata/metadata_store.h"
#include "te/metadata/metadata_watches.h"

namespace te {

struct MetadataServiceOptions {
  // In the parts of one Put together; at most MetadataStore's limit. More are
  // refused with INVALID_ARGUMENT. Nor has an answer more.
  size_t max_value_bytes = MetadataStore::kMaxValueBytes;
  // Of all clients; one more is refused with RESOURCE_EXHAUSTED.
  size_t max_watches = 65536;
  // Clients that watch; likewise.
  size_t max_watch_streams = 4096;
  // A call without a deadline gets this, and none gets more.
  Duration max_call_time = std::chrono::seconds(30);
  // Called for each call, on its thread, and for each watch when it begins and
  // when it ends; may be empty.
  std::function<void(const MetadataAccess&)> on_access;
};

// Offers a store over gRPC. Requests may hold anything. Thread-safe.
//
// A call occupies a thread of the server's, but for Watch, which lasts: that
// one has gRPC's callbacks instead.
class MetadataService final
    : public metadata::v1::Metadata::WithCallbackMethod_Watch<
          metadata::v1::Metadata::Service> {
 public:
  using Base = metadata::v1::Metadata::WithCallbackMethod_Watch<
      metadata::v1::Metadata::Service>;

  // `store` is borrowed.
  MetadataService(MetadataStore& store, MetadataServiceOptions options);

  grpc::Status Put(grpc::ServerContext* context,
                   const metadata::v1::PutRequest* request,
                   metadata::v1::PutResponse* response) override;
  grpc::Status Renew(grpc::ServerContext* context,
                     const metadata::v1::RenewRequest* request,
                     metadata::v1::RenewResponse* response) override;
  grpc::Status Get(grpc::ServerContext* context,
                   const metadata::v1::GetRequest* request,
                   metadata::v1::GetResponse* response) override;
  grpc::Status GetMany(grpc::ServerContext* context,
                       const metadata::v1::GetManyRequest* request,
                       metadata::v1::GetManyResponse* response) override;
  grpc::Status List(grpc::ServerContext* context,
                    const metadata::v1::ListRequest* request,
                    metadata::v1::ListResponse* response) override;
  grpc::Status Remove(grpc::ServerContext* context,
                      const metadata::v1::RemoveRequest* request,
                      metadata::v1::RemoveResponse* response) override;
  using Base::Watch;
  grpc::ServerBidiReactor<metadata::v1::WatchRequest,
                          metadata::v1::WatchResponse>*
  Watch(grpc::CallbackServerContext* context) override;

  // Ends all calls of Watch, which do not end by themselves, and refuses new
  // ones: a server that shuts down would otherwise wait for them.
  void EndWatches() { watches_.EndAll(); }

 private:
  grpc::Status Serve(absl::string_view method, const std::string& key,
                     const grpc::ServerContext& context,
                     absl::FunctionRef<absl::Status(MonotonicTime)> body) const;
  // GetMany's answer.
  absl::Status Fill(const metadata::v1::GetManyRequest& request,
                    MonotonicTime deadline,
                    metadata::v1::GetManyResponse& response) const;

  MetadataStore& store_;
  const MetadataServiceOptions options_;
  MetadataWatches watches_;
};

}  // namespace te

#endif  // TE_METADATA_METADATA_SERVICE_H_
