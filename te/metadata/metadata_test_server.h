#ifndef TE_METADATA_METADATA_TEST_SERVER_H_
#define TE_METADATA_METADATA_TEST_SERVER_H_

#include <memory>
#include <string>

#include "absl/strings/string_view.h"
#include "grpcpp/impl/service_type.h"
#include "te/base/clock.h"
#include "te/base/host_port.h"
#include "te/grpc/server.h"
#include "te/metadata/grpc_address.h"
#include "te/metadata/grpc_store.h"
#include "te/metadata/in_process_store.h"
#include "te/metadata/metadata_service.h"
#include "te/metadata/metadata_store.h"

namespace te {

struct MetadataTestServerOptions {
  bool tls = false;
  std::string client_ca;  // asks clients for certificates
  PortRange ports;        // of 127.0.0.1
  int threads = 16;
  MetadataServiceOptions service;
  // What it serves; null: a store of its own.
  MetadataStore* store = nullptr;
  // What it is instead of a MetadataService; may be null.
  grpc::Service* instead = nullptr;
};

// A metadata server in the test's process, its service and its store. CHECKs
// that it starts. Thread-safe.
class MetadataTestServer {
 public:
  explicit MetadataTestServer(const MetadataTestServerOptions& options = {});
  // Ends watches, as metadata_server does.
  ~MetadataTestServer();

  GrpcAddress address() const;
  PortRange ports() const;
  InProcessStore& store() { return store_; }
  MetadataService& service() { return service_; }
  GrpcServer& server() { return *server_; }

 private:
  const bool tls_;
  InProcessStore store_{{.max_keys = 100'000}};
  MetadataService service_;
  std::unique_ptr<GrpcServer> server_;
};

// A client. CHECKs that the server answers.
std::unique_ptr<GrpcStore> ConnectTo(const GrpcAddress& address);

// Of te/grpc:test_certificates.
std::string TestCertificate(absl::string_view name);

}  // namespace te

#endif  // TE_METADATA_METADATA_TEST_SERVER_H_
