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
#include "grpcpp/support/status.h"
#include "te/base/clock.h"
#include "te/metadata/metadata_service.grpc.pb.h"
#include "te/metadata/metadata_service.pb.h"
#include "te/metadata/metadata_store.h"

namespace te {

// One call of a client, when it has ended.
struct MetadataAccess {
  absl::string_view method;
  absl::string_view key;
  std::string peer;  // as gRPC writes it
  absl::Status status;
  Duration duration = Duration::zero();
};

struct MetadataServiceOptions {
  // Of a value; at most MetadataStore's limit. A larger one is refused with
  // INVALID_ARGUMENT.
  size_t max_value_bytes = MetadataStore::kMaxValueBytes;
  // A call without a deadline gets this, and none gets more.
  Duration max_call_time = std::chrono::seconds(30);
  // Called for each call, on its thread; may be empty.
  std::function<void(const MetadataAccess&)> on_access;
};

// Offers a store over gRPC. Requests may hold anything. Thread-safe.
class MetadataService final : public metadata::v1::Metadata::Service {
 public:
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
  grpc::Status List(grpc::ServerContext* context,
                    const metadata::v1::ListRequest* request,
                    metadata::v1::ListResponse* response) override;
  grpc::Status Remove(grpc::ServerContext* context,
                      const metadata::v1::RemoveRequest* request,
                      metadata::v1::RemoveResponse* response) override;

 private:
  grpc::Status Serve(absl::string_view method, const std::string& key,
                     const grpc::ServerContext& context,
                     absl::FunctionRef<absl::Status(MonotonicTime)> body) const;

  MetadataStore& store_;
  const MetadataServiceOptions options_;
};

}  // namespace te

#endif  // TE_METADATA_METADATA_SERVICE_H_
