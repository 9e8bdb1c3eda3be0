#include "te/rpc/control_client.h"

#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "grpcpp/channel.h"
#include "grpcpp/client_context.h"
#include "te/base/clock.h"
#include "te/base/host_port.h"
#include "te/base/incarnation.h"
#include "te/base/status_macros.h"
#include "te/grpc/channel.h"
#include "te/metadata/metadata_store.h"
#include "te/metadata/segment_parts.h"
#include "te/rpc/control.grpc.pb.h"
#include "te/rpc/control.pb.h"
#include "te/rpc/control_handler.h"

namespace te {
namespace {

std::string Bytes(const Incarnation& incarnation) {
  return std::string(incarnation.bytes().begin(), incarnation.bytes().end());
}

}  // namespace

absl::StatusOr<std::unique_ptr<ControlClient>> ControlClient::Create(
    absl::string_view peer, const ControlClientOptions& options) {
  TE_ASSIGN_OR_RETURN(HostPort parsed, HostPort::Parse(peer));
  if (parsed.port.value_or(0) == 0) {
    return absl::InvalidArgumentError(absl::StrCat(
        "control server address '", peer, "' has no port; write host:port"));
  }
  return std::unique_ptr<ControlClient>(new ControlClient(parsed, options));
}

template <typename Request, typename Response>
absl::Status ControlClient::Call(const char* name,
                                 Method<Request, Response> method,
                                 const Request& request, MonotonicTime deadline,
                                 Response& response) {
  return channel_.Call(name, deadline,
                       [&](const std::shared_ptr<grpc::Channel>& channel,
                           grpc::ClientContext& context) {
                         const auto stub =
                             control::v1::Control::NewStub(channel);
                         return ((*stub).*method)(&context, request, &response);
                       });
}

absl::StatusOr<StoredValue> ControlClient::GetParts(const GetOptions& options,
                                                    MonotonicTime deadline) {
  control::v1::GetSegmentRequest request;
  request.set_since(options.since);
  request.set_first_part(options.first_part);
  control::v1::GetSegmentResponse response;
  TE_RETURN_IF_ERROR(
      Call("GetSegment", &Stub::GetSegment, request, deadline, response));
  StoredValue value = {.version = response.version(),
                       .whole = response.whole(),
                       .next_part = response.next_part()};
  for (auto& part : *response.mutable_parts()) {
    value.parts.push_back(
        {.number = part.number(), .bytes = std::move(*part.mutable_bytes())});
  }
  return value;
}

absl::StatusOr<SegmentSnapshot> ControlClient::GetSegment(
    MonotonicTime deadline, const SegmentSnapshot* known) {
  absl::StatusOr<SegmentSnapshot> segment = ReadSegment(
      [&](const GetOptions& options) { return GetParts(options, deadline); },
      known);
  // Errors of calls name the peer already.
  if (!segment.ok() && !absl::StrContains(segment.status().message(), peer_)) {
    return absl::Status(
        segment.status().code(),
        absl::StrCat(channel_.server(), ": ", segment.status().message()));
  }
  return segment;
}

absl::StatusOr<std::string> ControlClient::Handshake(
    const Incarnation& target, const ControlHandshake& handshake,
    MonotonicTime deadline) {
  control::v1::HandshakeRequest request;
  request.set_transport(handshake.transport);
  request.set_target_incarnation(Bytes(target));
  request.set_client_incarnation(Bytes(handshake.client));
  request.set_payload(handshake.payload);
  control::v1::HandshakeResponse response;
  TE_RETURN_IF_ERROR(
      Call("Handshake", &Stub::Handshake, request, deadline, response));
  return std::move(*response.mutable_payload());
}

absl::Status ControlClient::Notify(const Incarnation& target,
                                   const ControlNotification& notification,
                                   MonotonicTime deadline) {
  control::v1::NotifyRequest request;
  request.set_target_incarnation(Bytes(target));
  request.set_sender_incarnation(Bytes(notification.sender));
  request.set_sender_name(notification.sender_name);
  request.set_sequence(notification.sequence);
  request.set_name(notification.name);
  request.set_message(notification.message);
  control::v1::NotifyResponse response;
  return Call("Notify", &Stub::Notify, request, deadline, response);
}

}  // namespace te
