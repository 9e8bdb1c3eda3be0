#ifndef TE_METADATA_GRPC_STORE_H_
#define TE_METADATA_GRPC_STORE_H_

#include <stddef.h>
#include <stdint.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "grpcpp/client_context.h"
#include "grpcpp/support/status.h"
#include "te/base/clock.h"
#include "te/grpc/channel.h"
#include "te/metadata/grpc_address.h"
#include "te/metadata/grpc_watcher.h"
#include "te/metadata/metadata_service.grpc.pb.h"
#include "te/metadata/metadata_service.pb.h"
#include "te/metadata/metadata_store.h"
#include "te/metadata/value_part.h"

namespace te {

// A client of //te/metadata:metadata_server.
//
// A call that finds the server gone, or with all its threads busy, tries again
// until its deadline, as long as nothing was done; after that it fails with
// UNAVAILABLE. Answers that no store gives are DATA_LOSS. PERMISSION_DENIED and
// the like are what the server's own store says.
//
// Watches have a connection of their own, made by the first one. A server that
// has gone without a word is missed after some 15 seconds: kBroken.
class GrpcStore final : public MetadataStore {
 public:
  // Asks the server once, so that a wrong address or certificate shows at the
  // start. UNAVAILABLE: nobody answers there, or not with the right
  // certificate. UNIMPLEMENTED: it is no metadata server. NOT_FOUND and
  // INVALID_ARGUMENT for files of the address that cannot be read.
  static absl::StatusOr<std::unique_ptr<GrpcStore>> Create(
      const GrpcAddress& address, MonotonicTime deadline);
  // No call may be under way. Takes some seconds if watches are just waiting
  // for the server's name to be resolved.
  ~GrpcStore() override = default;

  absl::StatusOr<uint64_t> Put(absl::string_view key,
                               absl::Span<const ValuePartView> parts,
                               const PutOptions& options,
                               MonotonicTime deadline) override;
  absl::Status Renew(absl::string_view key, uint64_t version, Duration lease,
                     MonotonicTime deadline) override;
  absl::StatusOr<StoredValue> Get(absl::string_view key,
                                  const GetOptions& options,
                                  MonotonicTime deadline) override;
  // Some hundred keys, or megabytes, a call. When one fails the keys that are
  // left get that error.
  std::vector<absl::StatusOr<StoredValue>> GetMany(
      absl::Span<const std::string> keys, const GetOptions& options,
      MonotonicTime deadline) override;
  absl::StatusOr<KeyList> List(absl::string_view prefix,
                               absl::string_view after,
                               MonotonicTime deadline) override;
  absl::Status Remove(absl::string_view key,
                      std::optional<uint64_t> expected_version,
                      MonotonicTime deadline) override;
  absl::StatusOr<std::unique_ptr<StoreWatch>> Watch(
      const WatchScope& scope, WatchCallback on_event) override;

 private:
  using Stub = metadata::v1::Metadata::Stub;
  template <typename Request, typename Response>
  using Method = grpc::Status (Stub::*)(grpc::ClientContext*, const Request&,
                                        Response*);

  GrpcStore(const GrpcAddress& address, GrpcChannelOptions options);

  using Values = std::vector<absl::StatusOr<StoredValue>>;

  // Gets the values of some of these places; returns how many it were.
  absl::StatusOr<size_t> GetSome(absl::Span<const std::string> keys,
                                 absl::Span<const size_t> places,
                                 const GetOptions& options,
                                 MonotonicTime deadline, Values& values);
  absl::StatusOr<StoredValue> Read(absl::string_view key,
                                   const GetOptions& options,
                                   metadata::v1::GetResponse& response) const;
  absl::StatusOr<StoredValue> ReadItem(
      absl::string_view key, const GetOptions& options,
      metadata::v1::GetManyResponse::Item& item) const;

  // `name` is the method's, and `key` what it is about, for messages.
  template <typename Request, typename Response>
  absl::Status Call(const char* name, absl::string_view key,
                    Method<Request, Response> method, const Request& request,
                    MonotonicTime deadline, Response& response);
  template <typename Request, typename Response>
  absl::Status CallOnce(const char* name, Method<Request, Response> method,
                        const Request& request, MonotonicTime deadline,
                        Response& response);
  // `status` of a call, with what an operator needs to know.
  absl::Status Explain(absl::string_view key, const absl::Status& status) const;
  absl::Status WrongAnswer(absl::string_view what) const;
  absl::Status WrongAnswer(absl::string_view key, absl::string_view what) const;

  const bool tls_;
  GrpcChannel channel_;
  GrpcWatcher watcher_;
};

}  // namespace te

#endif  // TE_METADATA_GRPC_STORE_H_
