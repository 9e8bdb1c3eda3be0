#include "te/rpc/control_client.h"

#include <sys/socket.h>

#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "grpc/grpc.h"
#include "grpcpp/channel.h"
#include "grpcpp/client_context.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "grpcpp/support/channel_arguments.h"
#include "grpcpp/support/status.h"
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
#include "te/rpc/grpc_room.h"
#include "te/rpc/status_conversion.h"

namespace te {
namespace {

// Between attempts of one call's connection, while its deadline lasts.
constexpr int kMaxReconnectBackoffMs = 1'000;

// One target of gRPC has addresses of one family, so IPv4 goes as IPv4-mapped
// IPv6, which gRPC turns back where there is no IPv6.
std::string Ipv6Form(const SocketAddress& address) {
  const std::string ip = address.family() == AF_INET
                             ? absl::StrCat("::ffff:", address.ip())
                             : address.ip();
  // In a URI, the scope's '%' is escaped.
  return JoinHostPort(absl::StrReplaceAll(ip, {{"%", "%25"}}), address.port());
}

// The addresses of a peer in gRPC's syntax. gRPC's own resolver was rejected:
// it would not see all that the data path's sees (nsswitch.conf), and takes no
// IPv6 scopes.
std::string GrpcTarget(const std::vector<SocketAddress>& addresses) {
  std::vector<std::string> forms;
  for (const SocketAddress& address : addresses) {
    forms.push_back(Ipv6Form(address));
  }
  return absl::StrCat("ipv6:", absl::StrJoin(forms, ","));
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

// gRPC says two words when nobody has answered; an answer has other ones.
grpc::Status ExplainSilence(const grpc::Status& status, const char* method,
                            MonotonicTime started) {
  if (status.error_code() != grpc::StatusCode::DEADLINE_EXCEEDED ||
      status.error_message() != "Deadline Exceeded") {
    return status;
  }
  const auto waited =
      std::chrono::ceil<std::chrono::milliseconds>(RealClock().Now() - started);
  return grpc::Status(
      status.error_code(),
      absl::StrCat("no answer to ", method, " in ", waited.count(),
                   " ms; check that the process is not stopped or overloaded, "
                   "that it is a te engine that listens there (ss -ltnp), and "
                   "that no firewall drops packets; or allow more time"));
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
  return std::unique_ptr<ControlClient>(new ControlClient(parsed, options));
}

absl::StatusOr<std::unique_ptr<ControlClient::Stub>> ControlClient::GetStub(
    MonotonicTime deadline) {
  // gRPC would only notice later, with the request perhaps sent already.
  if (RealClock().Now() >= deadline) {
    return absl::DeadlineExceededError(
        absl::StrCat("peer ", peer_,
                     ": the deadline passed before the call, nothing was sent; "
                     "allow more time"));
  }
  {
    MutexLock lock(mutex_);
    // A channel that failed to connect fails its calls until it has connected
    // again, in its own time. A new one tries now, and says why it failed.
    if (channel_ != nullptr &&
        channel_->GetState(false) != GRPC_CHANNEL_TRANSIENT_FAILURE) {
      return control::v1::Control::NewStub(channel_);
    }
  }
  absl::StatusOr<std::vector<SocketAddress>> addresses =
      SocketAddress::Resolve(address_.host, *address_.port, deadline);
  if (!addresses.ok()) {
    return absl::Status(
        addresses.status().code(),
        absl::StrCat("peer ", peer_, ": ", addresses.status().message()));
  }
  if (absl::Status room = CheckRoomForGrpc(); !room.ok()) {
    return absl::Status(room.code(),
                        absl::StrCat("peer ", peer_, ": ", room.message()));
  }
  // Several threads may get here; each uses its own channel, and the last one's
  // is kept.
  auto channel = MakeChannel(GrpcTarget(*addresses), options_);
  MutexLock lock(mutex_);
  channel_ = channel;
  return control::v1::Control::NewStub(channel);
}

template <typename Request, typename Response>
absl::Status ControlClient::Call(const char* name,
                                 Method<Request, Response> method,
                                 const Request& request, MonotonicTime deadline,
                                 Response& response) {
  const MonotonicTime started = RealClock().Now();
  TE_ASSIGN_OR_RETURN(std::unique_ptr<Stub> stub, GetStub(deadline));
  grpc::ClientContext context;
  context.set_deadline(ToGrpcDeadline(deadline));
  const grpc::Status status = ((*stub).*method)(&context, request, &response);
  return FromGrpcStatus(ExplainSilence(status, name, started), peer_);
}

absl::StatusOr<SegmentDescriptor> ControlClient::GetSegment(
    MonotonicTime deadline) {
  control::v1::GetSegmentRequest request;
  control::v1::GetSegmentResponse response;
  TE_RETURN_IF_ERROR(
      Call("GetSegment", &Stub::GetSegment, request, deadline, response));
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
