#include "te/grpc/channel.h"

#include <sys/socket.h>

#include <chrono>
#include <memory>
#include <string>
#include <thread>
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
#include "grpcpp/impl/client_unary_call.h"
#include "grpcpp/impl/rpc_method.h"
#include "grpcpp/security/credentials.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/channel_arguments.h"
#include "grpcpp/support/slice.h"
#include "grpcpp/support/status.h"
#include "te/base/clock.h"
#include "te/base/host_port.h"
#include "te/base/mutex.h"
#include "te/base/socket_address.h"
#include "te/base/status_macros.h"
#include "te/grpc/connecting_channel.h"
#include "te/grpc/deadline.h"
#include "te/grpc/room.h"
#include "te/grpc/status_conversion.h"

namespace te {
namespace {

// Between attempts of one call's connection, while its deadline lasts.
constexpr int kMaxReconnectBackoffMs = 1'000;

constexpr std::chrono::milliseconds kBetweenConnects(100);

// A call that no server knows, and which is refused without doing anything.
grpc::Status CallNothing(const std::shared_ptr<grpc::Channel>& channel,
                         grpc::ClientContext& context) {
  const grpc::internal::RpcMethod method("/te.Nothing/Call",
                                         grpc::internal::RpcMethod::NORMAL_RPC);
  const grpc::Slice empty;
  const grpc::ByteBuffer request(&empty, 1);
  grpc::ByteBuffer response;
  return grpc::internal::BlockingUnaryCall(channel.get(), method, &context,
                                           request, &response);
}

// One target of gRPC has addresses of one family, so IPv4 goes as IPv4-mapped
// IPv6, which gRPC turns back where there is no IPv6.
std::string Ipv6Form(const SocketAddress& address) {
  const std::string ip = address.family() == AF_INET
                             ? absl::StrCat("::ffff:", address.ip())
                             : address.ip();
  // In a URI, the scope's '%' is escaped.
  return JoinHostPort(absl::StrReplaceAll(ip, {{"%", "%25"}}), address.port());
}

// gRPC says two words when nobody has answered; an answer has other ones.
bool IsSilence(const grpc::Status& status) {
  return status.error_code() == grpc::StatusCode::DEADLINE_EXCEEDED &&
         status.error_message() == "Deadline Exceeded";
}

grpc::Status ExplainSilence(const grpc::Status& status,
                            absl::string_view method, MonotonicTime started) {
  if (!IsSilence(status)) return status;
  const auto waited =
      std::chrono::ceil<std::chrono::milliseconds>(RealClock().Now() - started);
  return grpc::Status(
      status.error_code(),
      absl::StrCat("no answer to ", method, " in ", waited.count(),
                   " ms; check that the process is not stopped or overloaded, "
                   "that it is te that listens there (ss -ltnp), and that no "
                   "firewall drops packets; or allow more time"));
}

void SetKeepalive(grpc::ChannelArguments& arguments, Duration time) {
  const auto ms = std::chrono::ceil<std::chrono::milliseconds>(time).count();
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIME_MS, static_cast<int>(ms));
  arguments.SetInt(GRPC_ARG_KEEPALIVE_TIMEOUT_MS, static_cast<int>(ms / 2));
  // Otherwise two pings are sent, and no third before there are data.
  arguments.SetInt(GRPC_ARG_HTTP2_MAX_PINGS_WITHOUT_DATA, 0);
  // How long a connection may take.
  arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, static_cast<int>(ms / 2));
}

}  // namespace

GrpcChannel::GrpcChannel(absl::string_view server,
                         std::vector<HostPort> addresses,
                         GrpcChannelOptions options)
    : server_(server),
      addresses_(std::move(addresses)),
      options_(std::move(options)) {}

absl::Status GrpcChannel::Error(const absl::Status& status) const {
  return absl::Status(status.code(),
                      absl::StrCat(server_, ": ", status.message()));
}

// gRPC's own resolver was rejected: it would not see all that the data path's
// sees (nsswitch.conf), and takes no IPv6 scopes. Of several hosts, one that
// cannot be resolved is left out.
absl::StatusOr<std::string> GrpcChannel::Resolve(MonotonicTime deadline) const {
  std::vector<std::string> forms;
  absl::Status failure;
  for (const HostPort& address : addresses_) {
    absl::StatusOr<std::vector<SocketAddress>> resolved =
        SocketAddress::Resolve(address.host, *address.port, deadline);
    if (!resolved.ok()) {
      failure = resolved.status();
      continue;
    }
    for (const SocketAddress& one : *resolved) forms.push_back(Ipv6Form(one));
  }
  // Not NOT_FOUND, which callers take for an answer of the server's.
  if (forms.empty()) {
    return Error(absl::IsNotFound(failure)
                     ? absl::UnavailableError(failure.message())
                     : failure);
  }
  return absl::StrCat("ipv6:", absl::StrJoin(forms, ","));
}

std::shared_ptr<grpc::Channel> GrpcChannel::Make(
    const std::string& target) const {
  grpc::ChannelArguments arguments;
  // te's processes talk to each other directly, whatever http_proxy says.
  arguments.SetInt(GRPC_ARG_ENABLE_HTTP_PROXY, 0);
  // Nor does DNS configure them.
  arguments.SetInt(GRPC_ARG_SERVICE_CONFIG_DISABLE_RESOLUTION, 1);
  // Otherwise a new channel inherits the connection, and the backoff, of
  // another one to the same address.
  arguments.SetInt(GRPC_ARG_USE_LOCAL_SUBCHANNEL_POOL, 1);
  arguments.SetInt(GRPC_ARG_MAX_RECONNECT_BACKOFF_MS, kMaxReconnectBackoffMs);
  if (options_.keepalive > Duration::zero()) {
    SetKeepalive(arguments, options_.keepalive);
  }
  if (addresses_.size() > 1) {
    // Also how long it tries one that does not answer, before the next one.
    arguments.SetInt(GRPC_ARG_MIN_RECONNECT_BACKOFF_MS, kMaxReconnectBackoffMs);
  }
  arguments.SetMaxReceiveMessageSize(options_.max_message_bytes);
  arguments.SetMaxSendMessageSize(options_.max_message_bytes);
  // As the server does, which says why.
  arguments.SetInt(GRPC_ARG_HTTP2_BDP_PROBE, 0);
  arguments.SetInt(GRPC_ARG_HTTP2_STREAM_LOOKAHEAD_BYTES,
                   options_.max_message_bytes);
  if (!options_.tls_server_name.empty()) {
    arguments.SetSslTargetNameOverride(options_.tls_server_name);
  }
  return KeepWhileConnecting(grpc::CreateCustomChannel(
      target,
      options_.credentials == nullptr ? grpc::InsecureChannelCredentials()
                                      : options_.credentials,
      arguments));
}

absl::StatusOr<std::shared_ptr<grpc::Channel>> GrpcChannel::Get(
    MonotonicTime deadline) {
  // gRPC would only notice later, with the request perhaps sent already.
  if (RealClock().Now() >= deadline) {
    return Error(absl::DeadlineExceededError(
        "the deadline passed before the call, nothing was sent; allow more "
        "time"));
  }
  {
    MutexLock lock(mutex_);
    // A channel that failed to connect fails its calls until it has connected
    // again, in its own time. A new one tries now, and says why it failed.
    if (channel_ != nullptr &&
        channel_->GetState(false) != GRPC_CHANNEL_TRANSIENT_FAILURE) {
      return channel_;
    }
  }
  TE_ASSIGN_OR_RETURN(const std::string target, Resolve(deadline));
  if (absl::Status room = CheckRoomForGrpc(); !room.ok()) return Error(room);
  // Several threads may get here; each uses its own channel, and the last one's
  // is kept.
  auto channel = Make(target);
  MutexLock lock(mutex_);
  channel_ = channel;
  return channel;
}

void GrpcChannel::Forget(const std::shared_ptr<grpc::Channel>& channel) {
  MutexLock lock(mutex_);
  if (channel_ == channel) channel_ = nullptr;
}

absl::Status GrpcChannel::Connect(MonotonicTime deadline) {
  for (;;) {
    {
      MutexLock lock(mutex_);
      if (channel_ != nullptr &&
          channel_->GetState(false) == GRPC_CHANNEL_READY) {
        return absl::OkStatus();
      }
    }
    const absl::Status status = Call("connect", deadline, CallNothing);
    // Whatever it is, somebody has answered.
    if (!absl::IsUnavailable(status) && !absl::IsDeadlineExceeded(status) &&
        !absl::IsResourceExhausted(status)) {
      return absl::OkStatus();
    }
    if (!absl::IsUnavailable(status) ||
        RealClock().Now() + kBetweenConnects >= deadline) {
      return status;
    }
    std::this_thread::sleep_for(kBetweenConnects);
  }
}

absl::Status GrpcChannel::Call(
    absl::string_view method, MonotonicTime deadline,
    absl::FunctionRef<grpc::Status(const std::shared_ptr<grpc::Channel>&,
                                   grpc::ClientContext&)>
        invoke) {
  const MonotonicTime started = RealClock().Now();
  TE_ASSIGN_OR_RETURN(const std::shared_ptr<grpc::Channel> channel,
                      Get(deadline));
  grpc::ClientContext context;
  context.set_deadline(ToGrpcDeadline(deadline));
  const grpc::Status status = invoke(channel, context);
  // A channel that has failed would connect again of its own accord, and be in
  // the middle of that when it is let go.
  if (IsSilence(status) ||
      (!status.ok() &&
       channel->GetState(false) == GRPC_CHANNEL_TRANSIENT_FAILURE)) {
    Forget(channel);
  }
  return FromGrpcStatus(ExplainSilence(status, method, started), server_);
}

}  // namespace te
