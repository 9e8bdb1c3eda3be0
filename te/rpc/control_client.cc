#include "te/rpc/control_client.h"

#include <sys/socket.h>

#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "grpc/grpc.h"
#include "grpcpp/channel.h"
#include "grpcpp/client_context.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "grpcpp/support/channel_arguments.h"
#include "te/base/clock.h"
#include "te/base/host_port.h"
#include "te/base/incarnation.h"
#include "te/base/mutex.h"
#include "te/base/socket_address.h"
#include "te/base/status_macros.h"
#include "te/metadata/segment_descriptor.h"
#include "te/rpc/control.grpc.pb.h"
#include "te/rpc/control.pb.h"
#include "te/rpc/control_handler.h"
#include "te/rpc/grpc_deadline.h"
#include "te/rpc/status_conversion.h"

namespace te {
namespace {

// Between attempts of one call's connection, while its deadline lasts.
constexpr int kMaxReconnectBackoffMs = 1'000;

// The peer in gRPC's URI syntax. Literals name their scheme: the default one is
// DNS, which does not take an IPv6 scope.
std::string GrpcTarget(const HostPort& peer) {
  absl::StatusOr<SocketAddress> literal =
      SocketAddress::FromIp(peer.host, *peer.port);
  if (!literal.ok()) return absl::StrCat("dns:///", peer.ToString());
  if (literal->family() == AF_INET)
    return absl::StrCat("ipv4:", peer.ToString());
  return absl::StrCat("ipv6:",
                      absl::StrReplaceAll(peer.ToString(), {{"%", "%25"}}));
}

std::shared_ptr<grpc::Channel> MakeChannel(
    const std::string& target, const ControlClientOptions& options) {
  grpc::ChannelArguments arguments;
  // Engines talk to each other directly, whatever http_proxy says.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  // Nor does DNS configure them.
  arguments.SetInt(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
  // Otherwise a new channel inherits the connection, and the backoff, of
  // another one to the same address.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kMaxReconnectBackoffMs);
  arguments.SetMaxReceiveMessageSize(options.max_message_bytes);
  arguments.SetMaxSendMessageSize(options.max_message_bytes);
  return grpc::CreateCustomChannel(target, grpc::InsecureChannelCredentials(),
                                   arguments);
}

void SetDeadline(grpc::ClientContext& context, MonotonicTime deadline) {
  context.set_deadline(ToGrpcDeadline(deadline));
}

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
  return std::unique_ptr<ControlClient>(
      new ControlClient(parsed.ToString(), GrpcTarget(parsed), options));
}

std::unique_ptr<control::v1::Control::Stub> ControlClient::Stub() {
  MutexLock lock(mutex_);
  // A channel that failed to connect fails its calls until it has connected
  // again, in its own time. A new one tries now, and says why it failed.
  if (channel_ == nullptr ||
      channel_->GetState(false) == GRPC_CHANNEL_TRANSIENT_FAILURE) {
    channel_ = MakeChannel(grpc_target_, options_);
  }
  return control::v1::Control::NewStub(channel_);
}

absl::StatusOr<SegmentDescriptor> ControlClient::GetSegment(
    MonotonicTime deadline) {
  grpc::ClientContext context;
  SetDeadline(context, deadline);
  control::v1::GetSegmentRequest request;
  control::v1::GetSegmentResponse response;
  TE_RETURN_IF_ERROR(
      FromGrpcStatus(Stub()->GetSegment(&context, request, &response), peer_));
  absl::StatusOr<SegmentDescriptor> descriptor =
      SegmentDescriptor::Parse(response.segment());
  if (!descriptor.ok()) {
    return absl::Status(
        descriptor.status().code(),
        absl::StrCat("peer ", peer_, ": ", descriptor.status().message()));
  }
  return descriptor;
}

absl::StatusOr<std::string> ControlClient::Handshake(
    const Incarnation& target, const ControlHandshake& handshake,
    MonotonicTime deadline) {
  grpc::ClientContext context;
  SetDeadline(context, deadline);
  control::v1::HandshakeRequest request;
  request.set_transport(handshake.transport);
  request.set_target_incarnation(Bytes(target));
  request.set_client_incarnation(Bytes(handshake.client));
  request.set_payload(handshake.payload);
  control::v1::HandshakeResponse response;
  TE_RETURN_IF_ERROR(
      FromGrpcStatus(Stub()->Handshake(&context, request, &response), peer_));
  return std::move(*response.mutable_payload());
}

absl::Status ControlClient::Notify(const Incarnation& target,
                                   const ControlNotification& notification,
                                   MonotonicTime deadline) {
  grpc::ClientContext context;
  SetDeadline(context, deadline);
  control::v1::NotifyRequest request;
  request.set_target_incarnation(Bytes(target));
  request.set_sender_incarnation(Bytes(notification.sender));
  request.set_sender_name(notification.sender_name);
  request.set_sequence(notification.sequence);
  request.set_name(notification.name);
  request.set_message(notification.message);
  control::v1::NotifyResponse response;
  return FromGrpcStatus(Stub()->Notify(&context, request, &response), peer_);
}

}  // namespace te
