#ifndef TE_GRPC_CHANNEL_H_
#define TE_GRPC_CHANNEL_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/base/attributes.h"
#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "grpcpp/channel.h"
#include "grpcpp/client_context.h"
#include "grpcpp/security/credentials.h"
#include "grpcpp/support/status.h"
#include "te/base/clock.h"
#include "te/base/host_port.h"
#include "te/base/mutex.h"

namespace te {

struct GrpcChannelOptions {
  // Null: no TLS.
  std::shared_ptr<grpc::ChannelCredentials> credentials;
  // What the server's certificate must be made out to; unused without TLS.
  std::string tls_server_name;
  // Of one message, either way.
  int max_message_bytes = 17 << 20;
  // For calls that last. While one does, the server is pinged after so long
  // without data; if it does not answer in half the time, the call fails with
  // UNAVAILABLE. As much is left for making a connection. Zero: no pings.
  Duration keepalive = Duration::zero();
};

// A connection to one server, at one address or at any of several. It is made
// by the first call and again after a failure: a call never fails for an
// earlier failure's sake, so a server that came back, with another address
// under its name even, is found at once. Thread-safe.
class GrpcChannel {
 public:
  // `server`: what is called, in messages ("peer 10.0.0.1:80"). `addresses`:
  // each with a port, at least one; names are resolved when a connection is
  // made. No I/O.
  GrpcChannel(absl::string_view server, std::vector<HostPort> addresses,
              GrpcChannelOptions options = {});

  // Returns when there is a connection: a call that begins then is not refused
  // for want of one, unless it breaks at that moment. Tries again and again
  // until the deadline; errors are those of Call. Costs nothing when there is
  // one.
  absl::Status Connect(MonotonicTime deadline);

  // Makes one call: `invoke` is to pass the context on to a stub of the
  // channel.
  //
  // It ends by the deadline. Errors keep the server's code and text, prefixed
  // with `server`. UNAVAILABLE: nobody answers there, or there is no such host.
  // RESOURCE_EXHAUSTED: no descriptors or threads for gRPC. DEADLINE_EXCEEDED:
  // no answer yet, and the server may or may not have acted; or the deadline
  // had passed before, and nothing was sent.
  absl::Status Call(
      absl::string_view method, MonotonicTime deadline,
      absl::FunctionRef<grpc::Status(const std::shared_ptr<grpc::Channel>&,
                                     grpc::ClientContext&)>
          invoke);

  // The channel as it is, or a new one: for streams, which Call does not make.
  // Their errors can be explained by FromGrpcStatus. No connection is waited
  // for; errors are those of Call before it has one.
  absl::StatusOr<std::shared_ptr<grpc::Channel>> Get(MonotonicTime deadline)
      ABSL_LOCKS_EXCLUDED(mutex_);

  const std::string& server() const ABSL_ATTRIBUTE_LIFETIME_BOUND {
    return server_;
  }

 private:
  absl::Status Error(const absl::Status& status) const;
  // Of all hosts, in gRPC's syntax.
  absl::StatusOr<std::string> Resolve(MonotonicTime deadline) const;
  std::shared_ptr<grpc::Channel> Make(const std::string& target) const;
  // The next call makes a new one: the host at the other end may be gone
  // without a word, which the kernel finds out only after many minutes.
  void Forget(const std::shared_ptr<grpc::Channel>& channel)
      ABSL_LOCKS_EXCLUDED(mutex_);

  const std::string server_;
  const std::vector<HostPort> addresses_;
  const GrpcChannelOptions options_;
  Mutex mutex_;
  std::shared_ptr<grpc::Channel> channel_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace te

#endif  // TE_GRPC_CHANNEL_H_
