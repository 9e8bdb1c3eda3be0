#include "te/metadata/metadata_service.h"

#include <stdint.h>

#include <algorithm>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/server_callback.h"
#include "grpcpp/support/status.h"
#include "te/base/clock.h"
#include "te/base/status_macros.h"
#include "te/grpc/deadline.h"
#include "te/grpc/status_conversion.h"
#include "te/metadata/metadata_service.pb.h"
#include "te/metadata/metadata_store.h"
#include "te/metadata/value_part.h"

namespace te {
namespace {

// Keys of one GetMany.
constexpr int kMaxKeys = 256;
// Of them are asked for at once; bounds what the store answers in one go.
constexpr size_t kMaxAtOnce = 32;
// After so many bytes an answer to GetMany ends.
constexpr size_t kManyBytes = size_t{4} << 20;
constexpr size_t kBeside = size_t{512} << 10;

template <typename Request>
std::optional<uint64_t> ExpectedVersion(const Request& request) {
  if (!request.has_expected_version()) return std::nullopt;
  return request.expected_version();
}

template <typename Request>
GetOptions OptionsOf(const Request& request, size_t max_bytes) {
  GetOptions options = {.since = request.since(),
                        .first_part = request.first_part()};
  if (request.has_max_bytes()) options.max_bytes = request.max_bytes();
  options.max_bytes = std::min(options.max_bytes, max_bytes);
  return options;
}

void Write(StoredValue value, metadata::v1::GetResponse& response) {
  response.set_version(value.version);
  response.set_whole(value.whole);
  response.set_next_part(value.next_part);
  for (ValuePart& part : value.parts) {
    metadata::v1::Part& to = *response.add_parts();
    to.set_number(part.number);
    to.set_bytes(std::move(part.bytes));
  }
}

metadata::v1::GetManyResponse::Item ItemOf(absl::StatusOr<StoredValue> value) {
  metadata::v1::GetManyResponse::Item item;
  if (value.ok()) {
    Write(*std::move(value), *item.mutable_value());
    return item;
  }
  const grpc::Status status = ToGrpcStatus(value.status());
  item.mutable_error()->set_code(status.error_code());
  item.mutable_error()->set_message(status.error_message());
  return item;
}

}  // namespace

MetadataService::MetadataService(MetadataStore& store,
                                 MetadataServiceOptions options)
    : store_(store),
      options_(std::move(options)),
      watches_(store, {.max_watches = options_.max_watches,
                       .max_streams = options_.max_watch_streams,
                       .on_access = options_.on_access}) {}

grpc::Status MetadataService::Serve(
    absl::string_view method, const std::string& key,
    const grpc::ServerContext& context,
    absl::FunctionRef<absl::Status(MonotonicTime)> body) const {
  const MonotonicTime begin = RealClock().Now();
  const absl::Status status =
      body(std::min(FromGrpcDeadline(context.raw_deadline()),
                    DeadlineAfter(begin, options_.max_call_time)));
  if (options_.on_access) {
    options_.on_access({.method = method,
                        .key = key,
                        .peer = context.peer(),
                        .status = status,
                        .duration = RealClock().Now() - begin});
  }
  return ToGrpcStatus(status);
}

grpc::Status MetadataService::Put(grpc::ServerContext* context,
                                  const metadata::v1::PutRequest* request,
                                  metadata::v1::PutResponse* response) {
  const auto put = [&](MonotonicTime deadline) -> absl::Status {
    std::vector<ValuePartView> parts;
    parts.reserve(static_cast<size_t>(request->parts_size()));
    size_t bytes = 0;
    for (const metadata::v1::Part& part : request->parts()) {
      parts.push_back({.number = part.number(), .bytes = part.bytes()});
      bytes += part.bytes().size();
    }
    if (bytes > options_.max_value_bytes) {
      return absl::InvalidArgumentError(absl::StrCat(
          DescribeKey(request->key()), ": a value of ", bytes,
          " bytes exceeds this server's limit of ", options_.max_value_bytes));
    }
    TE_ASSIGN_OR_RETURN(
        const uint64_t version,
        store_.Put(request->key(), parts,
                   {.expected_version = ExpectedVersion(*request),
                    .lease = LeaseFromMilliseconds(request->lease_ms()),
                    .replace = request->replace()},
                   deadline));
    response->set_version(version);
    return absl::OkStatus();
  };
  return Serve("Put", request->key(), *context, put);
}

grpc::Status MetadataService::Renew(grpc::ServerContext* context,
                                    const metadata::v1::RenewRequest* request,
                                    metadata::v1::RenewResponse* /*response*/) {
  return Serve("Renew", request->key(), *context, [&](MonotonicTime deadline) {
    return store_.Renew(request->key(), request->version(),
                        LeaseFromMilliseconds(request->lease_ms()), deadline);
  });
}

grpc::Status MetadataService::Get(grpc::ServerContext* context,
                                  const metadata::v1::GetRequest* request,
                                  metadata::v1::GetResponse* response) {
  const auto get = [&](MonotonicTime deadline) -> absl::Status {
    TE_ASSIGN_OR_RETURN(
        StoredValue stored,
        store_.Get(request->key(),
                   OptionsOf(*request, options_.max_value_bytes), deadline));
    Write(std::move(stored), *response);
    return absl::OkStatus();
  };
  return Serve("Get", request->key(), *context, get);
}

grpc::Status MetadataService::GetMany(
    grpc::ServerContext* context, const metadata::v1::GetManyRequest* request,
    metadata::v1::GetManyResponse* response) {
  const std::string first = request->keys().empty() ? "" : request->keys(0);
  return Serve("GetMany", first, *context, [&](MonotonicTime deadline) {
    return Fill(*request, deadline, *response);
  });
}

absl::Status MetadataService::Fill(
    const metadata::v1::GetManyRequest& request, MonotonicTime deadline,
    metadata::v1::GetManyResponse& response) const {
  if (request.keys().empty() || request.keys_size() > kMaxKeys) {
    return absl::InvalidArgumentError(
        absl::StrCat(request.keys_size(),
                     " keys are asked for at once; use 1 to ", kMaxKeys));
  }
  const std::vector<std::string> keys(request.keys().begin(),
                                      request.keys().end());
  const GetOptions options = OptionsOf(request, options_.max_value_bytes);
  // A message has room for a value and a megabyte, and one item is enough.
  const size_t room = std::min(kManyBytes, options_.max_value_bytes + kBeside);
  size_t bytes = 0;
  // More and more at once, so that not much is read that has no room.
  size_t at_once = 1;
  for (size_t i = 0; i < keys.size();) {
    const auto some = absl::MakeConstSpan(keys).subspan(i, at_once);
    i += some.size();
    at_once = std::min(2 * at_once, kMaxAtOnce);
    for (auto& value : store_.GetMany(some, options, deadline)) {
      metadata::v1::GetManyResponse::Item item = ItemOf(std::move(value));
      bytes += item.ByteSizeLong();
      if (bytes > room && !response.items().empty()) return absl::OkStatus();
      *response.add_items() = std::move(item);
    }
  }
  return absl::OkStatus();
}

grpc::Status MetadataService::List(grpc::ServerContext* context,
                                   const metadata::v1::ListRequest* request,
                                   metadata::v1::ListResponse* response) {
  const auto list = [&](MonotonicTime deadline) -> absl::Status {
    TE_ASSIGN_OR_RETURN(KeyList page, store_.List(request->prefix(),
                                                  request->after(), deadline));
    for (std::string& key : page.keys) response->add_keys(std::move(key));
    response->set_more(page.more);
    return absl::OkStatus();
  };
  return Serve("List", request->prefix(), *context, list);
}

grpc::Status MetadataService::Remove(
    grpc::ServerContext* context, const metadata::v1::RemoveRequest* request,
    metadata::v1::RemoveResponse* /*response*/) {
  return Serve("Remove", request->key(), *context, [&](MonotonicTime deadline) {
    return store_.Remove(request->key(), ExpectedVersion(*request), deadline);
  });
}

grpc::ServerBidiReactor<metadata::v1::WatchRequest,
                        metadata::v1::WatchResponse>*
MetadataService::Watch(grpc::CallbackServerContext* context) {
  return watches_.Add(*context);
}

}  // namespace te
