#include "te/metadata/metadata_test_server.h"

#include <chrono>
#include <memory>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "glog/logging.h"
#include "te/base/clock.h"
#include "te/base/host_port.h"
#include "te/base/socket_address.h"
#include "te/grpc/server.h"
#include "te/grpc/tls.h"
#include "te/metadata/grpc_address.h"
#include "te/metadata/grpc_store.h"

namespace te {

std::string TestCertificate(absl::string_view name) {
  return absl::StrCat("te/grpc/testdata/", name);
}

MetadataTestServer::MetadataTestServer(const MetadataTestServerOptions& options)
    : tls_(options.tls),
      service_(options.store == nullptr ? store_ : *options.store,
               options.service) {
  GrpcServerOptions grpc;
  grpc.name = "metadata";
  grpc.address = SocketAddress::FromIp("127.0.0.1", 0).value();
  grpc.ports = options.ports;
  grpc.max_threads = options.threads;
  if (tls_) {
    auto credentials =
        TlsServerCredentials({.ca_file = options.client_ca,
                              .cert_file = TestCertificate("server.pem"),
                              .key_file = TestCertificate("server.key")});
    CHECK(credentials.ok()) << credentials.status();
    grpc.credentials = *std::move(credentials);
  }
  grpc::Service* service = &service_;
  if (options.instead != nullptr) service = options.instead;
  auto server = GrpcServer::Create(grpc, {&service, 1});
  CHECK(server.ok()) << server.status();
  server_ = *std::move(server);
}

MetadataTestServer::~MetadataTestServer() { service_.EndWatches(); }

GrpcAddress MetadataTestServer::address() const {
  const SocketAddress& bound = server_->bound_address();
  GrpcAddress address;
  address.servers = {HostPort{.host = bound.ip(), .port = bound.port()}};
  address.tls = tls_;
  if (tls_) {
    address.ca_file = TestCertificate("ca.pem");
    address.tls_name = "metadata.test";
  }
  return address;
}

PortRange MetadataTestServer::ports() const {
  const uint16_t port = server_->bound_address().port();
  return {.first = port, .last = port};
}

std::unique_ptr<GrpcStore> ConnectTo(const GrpcAddress& address) {
  auto store =
      GrpcStore::Create(address, RealClock().Now() + std::chrono::seconds(60));
  CHECK(store.ok()) << store.status();
  return *std::move(store);
}

}  // namespace te
