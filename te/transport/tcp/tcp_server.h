#ifndef TE_TRANSPORT_TCP_TCP_SERVER_H_
#define TE_TRANSPORT_TCP_TCP_SERVER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "te/base/clock.h"
#include "te/base/incarnation.h"
#include "te/base/mutex.h"
#include "te/base/socket_address.h"
#include "te/base/unique_fd.h"
#include "te/transport/exposed_memory.h"
#include "te/transport/tcp/frame.h"
#include "te/transport/tcp/io_loop.h"
#include "te/transport/tcp/server_stream.h"
#include "te/transport/tcp/tcp_options.h"

namespace te::tcp {

// The target's side of the transport: accepts connections and keeps those that
// name a session, which a handshake over the control plane has opened. A
// stranger who connects gets nothing, and is cut off after a while.
//
// Thread-safe. A session belongs to a rail of a client; opening the next one
// for the same rail first ends the one before, with everything that it still
// had under way.
class TcpServer final : private ServerStream::Host {
 public:
  // `memory` must outlive the server.
  static absl::StatusOr<std::unique_ptr<TcpServer>> Create(
      const TcpOptions& options, const Incarnation& self, ExposedMemory& memory,
      absl::Span<const std::shared_ptr<IoLoop>> loops);
  ~TcpServer();

  // Returns what the client must say in its Hellos. When it returns, nothing
  // that this client sent over an earlier session of this rail can reach memory
  // any more. kResourceExhausted: too many connections.
  absl::StatusOr<Incarnation> OpenSession(const Incarnation& client,
                                          uint64_t rail_id, uint32_t streams);

  // The same without a new session; see Transport::Fence.
  void EndSessions(const Incarnation& client, uint64_t rail_id);

  // Ends all sessions; see Transport::DisconnectPeers.
  void DisconnectPeers();

  const SocketAddress& address() const { return address_; }

 private:
  class Doorman;

  struct Session {
    Incarnation client;
    uint64_t rail_id = 0;
    uint32_t streams_expected = 0;
    uint32_t streams_joined = 0;
    // When it ends unless all streams have joined.
    MonotonicTime expiry;
  };
  struct Guest {
    std::shared_ptr<ServerStream> stream;
    // None before the Hello, which must come until then.
    std::optional<Incarnation> session;
    MonotonicTime expiry;
  };
  using Streams = std::vector<std::shared_ptr<ServerStream>>;

  TcpServer(const TcpOptions& options, const Incarnation& self,
            ExposedMemory& memory,
            absl::Span<const std::shared_ptr<IoLoop>> loops, UniqueFd listener,
            UniqueFd timer, const SocketAddress& address);

  absl::StatusOr<Incarnation> Admit(const HelloEntry& hello,
                                    ServerStream& stream) override;
  void OnEnd(ServerStream& stream, const absl::Status& why) override;

  void Forget(ServerStream& stream);
  absl::Status StartDoormen();
  bool AcceptAll();
  void Welcome(UniqueFd socket);
  void Sweep();
  Streams TakeEarlierSessions(const Incarnation& client, uint64_t rail_id);
  void EndEarlierSessions(const Incarnation& client, uint64_t rail_id)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(opening_);
  std::shared_ptr<ServerStream> TakeOldestStranger()
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void MakeRoomForPromise(uint32_t streams)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Both return whether there are some whose time is not up yet.
  bool TakeLateStrangers(MonotonicTime now, Streams& late)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool TakeLateSessions(MonotonicTime now, Streams& late)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void WakeSweep() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Streams TakeStreams(const Incarnation& session)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const TcpOptions options_;
  const Incarnation self_;
  ExposedMemory& memory_;
  const std::vector<std::shared_ptr<IoLoop>> loops_;
  const UniqueFd listener_;
  // Wakes Sweep while there is something that may expire.
  const UniqueFd timer_;
  const SocketAddress address_;
  IoLoop::Id listener_id_ = 0;
  IoLoop::Id timer_id_ = 0;

  // Held while a session is opened and earlier ones are ended, so that two
  // handshakes for one rail do not miss each other's.
  Mutex opening_;

  // Taken inside a loop's callbacks: never held while a stream is closed, which
  // waits for these.
  Mutex mutex_ ABSL_ACQUIRED_AFTER(opening_);
  absl::flat_hash_map<Incarnation, Session> sessions_ ABSL_GUARDED_BY(mutex_);
  absl::flat_hash_map<ServerStream*, Guest> guests_ ABSL_GUARDED_BY(mutex_);
  // Guests that have not said Hello.
  size_t strangers_ ABSL_GUARDED_BY(mutex_) = 0;
  size_t next_loop_ ABSL_GUARDED_BY(mutex_) = 0;
  bool sweeping_ ABSL_GUARDED_BY(mutex_) = false;
};

}  // namespace te::tcp

#endif  // TE_TRANSPORT_TCP_TCP_SERVER_H_
