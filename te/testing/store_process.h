#ifndef TE_TESTING_STORE_PROCESS_H_
#define TE_TESTING_STORE_PROCESS_H_

#include <memory>

#include "absl/strings/string_view.h"
#include "te/base/socket_address.h"

namespace te {

// A metadata store in a process of its own, on a free port of 127.0.0.1, for
// tests that treat it badly. CHECKs that it starts. Thread-compatible.
class StoreProcess {
 public:
  virtual ~StoreProcess() = default;

  // With address(), what Options::metadata_server takes: "redis", "grpc".
  virtual absl::string_view scheme() const = 0;
  virtual SocketAddress address() const = 0;

  // SIGKILL; and back, empty, at the same address.
  virtual void Kill() = 0;
  virtual void Restart() = 0;
  // SIGSTOP and SIGCONT.
  virtual void Stop() = 0;
  virtual void Continue() = 0;
  // Loses everything while it runs.
  virtual void Empty() = 0;
};

class MetadataServerProcess : public StoreProcess {
 public:
  // SIGTERM; returns what it exits with.
  virtual int Terminate() = 0;
};

std::unique_ptr<StoreProcess> StartRedis();
// //te/metadata:metadata_server, with everything in memory.
std::unique_ptr<StoreProcess> StartMetadataServer();
std::unique_ptr<MetadataServerProcess> StartMetadataServerProcess();

}  // namespace te

#endif  // TE_TESTING_STORE_PROCESS_H_
