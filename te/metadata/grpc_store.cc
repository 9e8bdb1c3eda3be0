#include "te/metadata/grpc_store.h"

#include <stddef.h>
#include <stdint.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "grpcpp/channel.h"
#include "grpcpp/client_context.h"
#include "te/base/clock.h"
#include "te/base/status_macros.h"
#include "te/grpc/channel.h"
#include "te/grpc/status_conversion.h"
#include "te/grpc/tls.h"
#include "te/metadata/grpc_address.h"
#include "te/metadata/grpc_watcher.h"
#include "te/metadata/metadata_service.grpc.pb.h"
#include "te/metadata/metadata_service.pb.h"
#include "te/metadata/metadata_store.h"
#include "te/metadata/value_part.h"

namespace te {
namespace {

using metadata::v1::Metadata;

// Between tries while the server is busy.
// Nobody puts this key; Create asks for it. Not one that the server's own store
// may use for itself, as Redis does "te/version".
constexpr char kProbe[] = "te/probe";

constexpr Duration kFirstPause = std::chrono::milliseconds(5);
constexpr Duration kLastPause = std::chrono::milliseconds(200);

// Of one GetMany; the server takes no more.
constexpr size_t kMaxKeysAtOnce = 256;

// gRPC's own refusal of a call that no service has seen. A store that is full
// says RESOURCE_EXHAUSTED in other words.
bool IsBusy(const absl::Status& status) {
  return absl::IsResourceExhausted(status) &&
         absl::StrContains(status.message(), "Server Threadpool Exhausted");
}

// Repeats a call until the server has a thread for it. Until the deadline; then
// it is UNAVAILABLE.
absl::Status RetryWhileBusy(MonotonicTime deadline,
                            absl::FunctionRef<absl::Status()> call) {
  for (Duration pause = kFirstPause;; pause = std::min(2 * pause, kLastPause)) {
    const absl::Status status = call();
    if (!IsBusy(status)) return status;
    if (RealClock().Now() + pause >= deadline) {
      return absl::UnavailableError(absl::StrCat(
          status.message(),
          "; its threads are busy: give it more, or this call more time"));
    }
    std::this_thread::sleep_for(pause);
  }
}

// Of an answer to Get; null if a store could give it.
const char* WhatIsWrong(const StoredValue& value, const GetOptions& asked) {
  uint32_t next = asked.first_part;
  size_t bytes = 0;
  for (const ValuePart& part : value.parts) {
    if (part.number < next || part.number >= MetadataStore::kMaxParts) {
      return "parts that are out of order or not asked";
    }
    next = part.number + 1;
    bytes += part.bytes.size();
  }
  const size_t most = std::min(asked.max_bytes, MetadataStore::kMaxValueBytes);
  if (bytes > MetadataStore::kMaxValueBytes ||
      (bytes > most && value.parts.size() > 1)) {
    return "more bytes than the limit";
  }
  if (value.next_part != 0 && (value.parts.empty() || value.next_part < next ||
                               value.next_part >= MetadataStore::kMaxParts)) {
    return "that there are more parts where there cannot be";
  }
  if (!value.whole && (asked.since == 0 || asked.since > value.version)) {
    return "what has changed since a version that it cannot know";
  }
  return nullptr;
}

absl::StatusOr<GrpcChannelOptions> ChannelOptions(const GrpcAddress& address) {
  GrpcChannelOptions options;
  if (!address.tls) return options;
  options.tls_server_name = address.tls_name.empty()
                                ? address.servers.front().host
                                : address.tls_name;
  TE_ASSIGN_OR_RETURN(options.credentials,
                      TlsClientCredentials({.ca_file = address.ca_file,
                                            .cert_file = address.cert_file,
                                            .key_file = address.key_file}));
  return options;
}

}  // namespace

absl::StatusOr<std::unique_ptr<GrpcStore>> GrpcStore::Create(
    const GrpcAddress& address, MonotonicTime deadline) {
  TE_ASSIGN_OR_RETURN(GrpcChannelOptions options, ChannelOptions(address));
  std::unique_ptr<GrpcStore> store(new GrpcStore(address, std::move(options)));
  metadata::v1::GetRequest request;
  request.set_key(kProbe);
  metadata::v1::GetResponse response;
  // Not CallOnce: a server that is not there is no reason to wait.
  const absl::Status status = RetryWhileBusy(deadline, [&] {
    return store->channel_.Call(
        "Get", deadline,
        [&](const std::shared_ptr<grpc::Channel>& channel,
            grpc::ClientContext& context) {
          return Metadata::NewStub(channel)->Get(&context, request, &response);
        });
  });
  if (!status.ok() && !absl::IsNotFound(status)) {
    return store->Explain(kProbe, status);
  }
  return store;
}

GrpcStore::GrpcStore(const GrpcAddress& address, GrpcChannelOptions options)
    : tls_(address.tls),
      channel_(absl::StrCat("metadata server ", address.ToString()),
               address.servers, options),
      watcher_(channel_.server(), address.servers, std::move(options)) {}

absl::Status GrpcStore::Explain(absl::string_view key,
                                const absl::Status& status) const {
  std::string text(status.message());
  if (absl::IsUnavailable(status)) {
    absl::StrAppend(&text, tls_ ? "; check also that ca, name, cert and key of "
                                  "the address suit the server's TLS"
                                : "; a server with TLS needs grpcs://");
  }
  if (!absl::StrContains(text, DescribeKey(key))) {
    text = absl::StrCat(DescribeKey(key), ": ", text);
  }
  return absl::Status(status.code(), text);
}

absl::Status GrpcStore::WrongAnswer(absl::string_view what) const {
  return absl::DataLossError(absl::StrCat(channel_.server(), " answers ", what,
                                          "; is it of a compatible version?"));
}

absl::Status GrpcStore::WrongAnswer(absl::string_view key,
                                    absl::string_view what) const {
  return Explain(key, WrongAnswer(what));
}

template <typename Request, typename Response>
absl::Status GrpcStore::Call(const char* name, absl::string_view key,
                             Method<Request, Response> method,
                             const Request& request, MonotonicTime deadline,
                             Response& response) {
  const absl::Status status = RetryWhileBusy(deadline, [&] {
    return CallOnce(name, method, request, deadline, response);
  });
  return status.ok() ? status : Explain(key, status);
}

template <typename Request, typename Response>
absl::Status GrpcStore::CallOnce(const char* name,
                                 Method<Request, Response> method,
                                 const Request& request, MonotonicTime deadline,
                                 Response& response) {
  TE_RETURN_IF_ERROR(channel_.Connect(deadline));
  return channel_.Call(name, deadline,
                       [&](const std::shared_ptr<grpc::Channel>& channel,
                           grpc::ClientContext& context) {
                         const auto stub = Metadata::NewStub(channel);
                         return ((*stub).*method)(&context, request, &response);
                       });
}

absl::StatusOr<uint64_t> GrpcStore::Put(absl::string_view key,
                                        absl::Span<const ValuePartView> parts,
                                        const PutOptions& options,
                                        MonotonicTime deadline) {
  TE_RETURN_IF_ERROR(ValidateCall(key, RealClock().Now(), deadline));
  TE_RETURN_IF_ERROR(ValidateParts(key, parts));
  TE_RETURN_IF_ERROR(ValidateLease(key, options.lease));
  metadata::v1::PutRequest request;
  request.set_key(std::string(key));
  for (const ValuePartView& part : parts) {
    metadata::v1::Part& to = *request.add_parts();
    to.set_number(part.number);
    to.set_bytes(std::string(part.bytes));
  }
  request.set_replace(options.replace);
  if (options.expected_version.has_value()) {
    request.set_expected_version(*options.expected_version);
  }
  request.set_lease_ms(LeaseMilliseconds(options.lease));
  metadata::v1::PutResponse response;
  TE_RETURN_IF_ERROR(Call("Put", key, &Stub::Put, request, deadline, response));
  if (response.version() == kAbsent) return WrongAnswer(key, "no version");
  return response.version();
}

absl::Status GrpcStore::Renew(absl::string_view key, uint64_t version,
                              Duration lease, MonotonicTime deadline) {
  TE_RETURN_IF_ERROR(ValidateCall(key, RealClock().Now(), deadline));
  TE_RETURN_IF_ERROR(ValidateLease(key, lease));
  metadata::v1::RenewRequest request;
  request.set_key(std::string(key));
  request.set_version(version);
  request.set_lease_ms(LeaseMilliseconds(lease));
  metadata::v1::RenewResponse response;
  return Call("Renew", key, &Stub::Renew, request, deadline, response);
}

absl::StatusOr<StoredValue> GrpcStore::Get(absl::string_view key,
                                           const GetOptions& options,
                                           MonotonicTime deadline) {
  TE_RETURN_IF_ERROR(ValidateCall(key, RealClock().Now(), deadline));
  metadata::v1::GetRequest request;
  request.set_key(std::string(key));
  request.set_since(options.since);
  request.set_first_part(options.first_part);
  request.set_max_bytes(options.max_bytes);
  metadata::v1::GetResponse response;
  TE_RETURN_IF_ERROR(Call("Get", key, &Stub::Get, request, deadline, response));
  return Read(key, options, response);
}

absl::StatusOr<StoredValue> GrpcStore::Read(
    absl::string_view key, const GetOptions& options,
    metadata::v1::GetResponse& response) const {
  if (response.version() == kAbsent) return WrongAnswer(key, "no version");
  StoredValue value = {.version = response.version(),
                       .whole = response.whole(),
                       .next_part = response.next_part()};
  value.parts.reserve(static_cast<size_t>(response.parts_size()));
  for (metadata::v1::Part& part : *response.mutable_parts()) {
    value.parts.push_back(
        {.number = part.number(), .bytes = std::move(*part.mutable_bytes())});
  }
  if (const char* wrong = WhatIsWrong(value, options); wrong != nullptr) {
    return WrongAnswer(key, wrong);
  }
  return value;
}

std::vector<absl::StatusOr<StoredValue>> GrpcStore::GetMany(
    absl::Span<const std::string> keys, const GetOptions& options,
    MonotonicTime deadline) {
  Values values(keys.size());
  std::vector<size_t> places;
  const MonotonicTime now = RealClock().Now();
  for (size_t i = 0; i < keys.size(); ++i) {
    const absl::Status status = ValidateCall(keys[i], now, deadline);
    if (status.ok()) {
      places.push_back(i);
    } else {
      values[i] = status;
    }
  }
  absl::Span<const size_t> left = places;
  while (!left.empty()) {
    const absl::StatusOr<size_t> got = GetSome(
        keys, left.subspan(0, kMaxKeysAtOnce), options, deadline, values);
    if (!got.ok()) {
      for (const size_t place : left) {
        values[place] = Explain(keys[place], got.status());
      }
      break;
    }
    left.remove_prefix(*got);
  }
  return values;
}

absl::StatusOr<size_t> GrpcStore::GetSome(absl::Span<const std::string> keys,
                                          absl::Span<const size_t> places,
                                          const GetOptions& options,
                                          MonotonicTime deadline,
                                          Values& values) {
  metadata::v1::GetManyRequest request;
  for (const size_t place : places) request.add_keys(keys[place]);
  request.set_since(options.since);
  request.set_first_part(options.first_part);
  request.set_max_bytes(options.max_bytes);
  metadata::v1::GetManyResponse response;
  TE_RETURN_IF_ERROR(RetryWhileBusy(deadline, [&] {
    return CallOnce("GetMany", &Stub::GetMany, request, deadline, response);
  }));
  const auto items = static_cast<size_t>(response.items_size());
  if (items == 0) return WrongAnswer("nothing");
  if (items > places.size()) return WrongAnswer("more than it was asked for");
  for (size_t i = 0; i < items; ++i) {
    const size_t place = places[i];
    values[place] = ReadItem(keys[place], options,
                             *response.mutable_items(static_cast<int>(i)));
  }
  return items;
}

absl::StatusOr<StoredValue> GrpcStore::ReadItem(
    absl::string_view key, const GetOptions& options,
    metadata::v1::GetManyResponse::Item& item) const {
  if (item.has_value()) return Read(key, options, *item.mutable_value());
  const grpc::StatusCode code = ToGrpcCode(item.error().code());
  if (code == grpc::StatusCode::OK) {
    return WrongAnswer(key, "neither a value nor an error");
  }
  return Explain(key, FromGrpcStatus(grpc::Status(code, item.error().message()),
                                     channel_.server()));
}

absl::StatusOr<KeyList> GrpcStore::List(absl::string_view prefix,
                                        absl::string_view after,
                                        MonotonicTime deadline) {
  TE_RETURN_IF_ERROR(ValidateCall(prefix, RealClock().Now(), deadline));
  metadata::v1::ListRequest request;
  request.set_prefix(std::string(prefix));
  request.set_after(std::string(after));
  metadata::v1::ListResponse response;
  TE_RETURN_IF_ERROR(
      Call("List", prefix, &Stub::List, request, deadline, response));
  if (response.more() && response.keys().empty()) {
    return WrongAnswer(prefix, "that there are more keys, but none");
  }
  KeyList list = {.more = response.more()};
  list.keys.reserve(static_cast<size_t>(response.keys_size()));
  for (std::string& key : *response.mutable_keys()) {
    if (key <= (list.keys.empty() ? after : list.keys.back()) ||
        !absl::StartsWith(key, prefix) || key.size() > kMaxKeyBytes) {
      return WrongAnswer(prefix, "keys that are out of order or not asked");
    }
    list.keys.push_back(std::move(key));
  }
  return list;
}

absl::Status GrpcStore::Remove(absl::string_view key,
                               std::optional<uint64_t> expected_version,
                               MonotonicTime deadline) {
  TE_RETURN_IF_ERROR(ValidateCall(key, RealClock().Now(), deadline));
  metadata::v1::RemoveRequest request;
  request.set_key(std::string(key));
  if (expected_version.has_value()) {
    request.set_expected_version(*expected_version);
  }
  metadata::v1::RemoveResponse response;
  return Call("Remove", key, &Stub::Remove, request, deadline, response);
}

absl::StatusOr<std::unique_ptr<StoreWatch>> GrpcStore::Watch(
    const WatchScope& scope, WatchCallback on_event) {
  return watcher_.Watch(scope, std::move(on_event));
}

}  // namespace te
