#ifndef TE_GRPC_TLS_H_
#define TE_GRPC_TLS_H_

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "grpcpp/security/credentials.h"
#include "grpcpp/security/server_credentials.h"

namespace te {

// PEM files. They are read once, when credentials are made.
struct TlsFiles {
  // The certificates that the other end's must be signed by.
  std::string ca_file;
  // One's own certificate, with those in between, and its key.
  std::string cert_file;
  std::string key_file;
};

// Errors of both name the file: NOT_FOUND and the like when it cannot be read,
// INVALID_ARGUMENT when it holds nothing in PEM. Whether key and certificate
// match only shows later.

// `ca_file` is needed; the others are for servers that ask for a certificate.
absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> TlsClientCredentials(
    const TlsFiles& files);

// `ca_file` may be empty: clients need no certificate then. Otherwise they do.
absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> TlsServerCredentials(
    const TlsFiles& files);

}  // namespace te

#endif  // TE_GRPC_TLS_H_
