#ifndef TE_GRPC_CONNECTING_CHANNEL_H_
#define TE_GRPC_CONNECTING_CHANNEL_H_

#include <memory>

#include "grpcpp/channel.h"

namespace te {

// The same channel, which may be let go of at any time and on any thread: if it
// is connecting when the last copy of the result goes, it is kept until the
// attempt has ended, which gRPC's timeout bounds. Waits for nothing.
//
// gRPC 1.51 destroys such a channel, but not its attempt. When TCP had
// connected already and the server's SETTINGS come within the timeout, it loses
// the connection for good, and with it a descriptor and all of gRPC's threads
// (mended later by https://github.com/grpc/grpc/pull/32071).
//
// A channel in TRANSIENT_FAILURE goes at once, although it tries again in that
// state too, which nothing tells: let go of it before its backoff is over. What
// remains is an attempt that has timed out, after which gRPC makes the next one
// without a pause. The connection is lost if a server that was silent for all
// of the first one answers during the second.
std::shared_ptr<grpc::Channel> KeepWhileConnecting(
    std::shared_ptr<grpc::Channel> channel);

}  // namespace te

#endif  // TE_GRPC_CONNECTING_CHANNEL_H_
