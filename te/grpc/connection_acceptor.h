#ifndef TE_GRPC_CONNECTION_ACCEPTOR_H_
#define TE_GRPC_CONNECTION_ACCEPTOR_H_

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include <atomic>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "te/base/clock.h"
#include "te/base/thread.h"
#include "te/base/unique_fd.h"
#include "te/grpc/listener.h"

namespace te {

// Accepts connections on a thread of its own for a consumer that
// does not say when it closes them: gRPC. gRPC's own listener was rejected: it
// takes any number of connections, and when it has met EMFILE once it accepts
// none ever again.
//
// A connection beyond the limit is closed at once. When descriptors or memory
// run out, connections wait in the listener's backlog until there are some.
// Both are logged, each at most every ten seconds. Thread-safe.
class ConnectionAcceptor {
 public:
  // Takes the connection, which is non-blocking, and closes it in the end.
  // Called on the acceptor's thread.
  using Consumer = std::function<void(UniqueFd connection)>;

  // `name`: of the port, in messages; "te-" goes before it for the thread's.
  // `max_connections` are open at a time. The cause when there is no thread.
  static absl::StatusOr<std::unique_ptr<ConnectionAcceptor>> Start(
      absl::string_view name, GrpcListener listener, int max_connections,
      Consumer consumer);

  // Stops listening. The consumer is not called any more.
  ~ConnectionAcceptor();
  ConnectionAcceptor(const ConnectionAcceptor&) = delete;
  ConnectionAcceptor& operator=(const ConnectionAcceptor&) = delete;

 private:
  // A connection in the consumer's hands. Its descriptor may have been closed
  // and used again since; the inode tells, which no two open sockets share.
  // Rejected: a duplicate of each descriptor, which would see the end at once,
  // but costs twice as many.
  struct Lent {
    int fd;
    ino_t inode;
  };

  ConnectionAcceptor(absl::string_view name, GrpcListener listener,
                     int max_connections, Consumer consumer);

  void Run();
  void Take(UniqueFd connection);
  bool HasRoom();
  // Returns when the listener has an event of poll(2), when it is shut down, or
  // after the timeout.
  void Await(int16_t events, int timeout_ms);

  const std::string name_;
  const GrpcListener listener_;
  const size_t max_connections_;
  const Consumer consumer_;
  std::atomic<bool> stopping_ = false;
  // The thread's own.
  std::vector<Lent> lent_;
  uint64_t refused_ = 0;
  MonotonicTime next_refusal_log_;
  MonotonicTime next_error_log_;
  Thread thread_;
};

}  // namespace te

#endif  // TE_GRPC_CONNECTION_ACCEPTOR_H_
