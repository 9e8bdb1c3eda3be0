#include "te/grpc/tls.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstddef>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "grpcpp/security/credentials.h"
#include "grpcpp/security/server_credentials.h"
#include "te/base/errno_status.h"
#include "te/base/status_macros.h"
#include "te/base/unique_fd.h"

namespace te {
namespace {

// Bundles of public authorities have about 200 KiB.
constexpr size_t kMaxFileBytes = 4 << 20;

absl::StatusOr<std::string> ReadPem(const std::string& path) {
  const auto cannot = [&](int error) {
    return ErrnoToStatus(error, absl::StrCat("read the TLS file ", path));
  };
  // Not blocking, in case it is a pipe.
  const UniqueFd file(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!file.valid()) return cannot(errno);
  std::string text(kMaxFileBytes, '\0');
  size_t size = 0;
  while (size < text.size()) {
    const ssize_t count = read(file.get(), &text[size], text.size() - size);
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return cannot(errno);
    if (count == 0) break;
    size += static_cast<size_t>(count);
  }
  text.resize(size);
  if (size < kMaxFileBytes && absl::StrContains(text, "-----BEGIN ")) {
    return text;
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "the TLS file ", path, " holds no certificate or key in PEM (",
      "-----BEGIN ...); convert it with openssl"));
}

}  // namespace

absl::StatusOr<std::shared_ptr<grpc::ChannelCredentials>> TlsClientCredentials(
    const TlsFiles& files) {
  grpc::SslCredentialsOptions options;
  TE_ASSIGN_OR_RETURN(options.pem_root_certs, ReadPem(files.ca_file));
  if (!files.cert_file.empty()) {
    TE_ASSIGN_OR_RETURN(options.pem_cert_chain, ReadPem(files.cert_file));
    TE_ASSIGN_OR_RETURN(options.pem_private_key, ReadPem(files.key_file));
  }
  return grpc::SslCredentials(options);
}

absl::StatusOr<std::shared_ptr<grpc::ServerCredentials>> TlsServerCredentials(
    const TlsFiles& files) {
  grpc::SslServerCredentialsOptions options(
      files.ca_file.empty()
          ? GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE
          : GRPC_SSL_REQUEST_AND_REQUIRE_CLIENT_CERTIFICATE_AND_VERIFY);
  if (!files.ca_file.empty()) {
    TE_ASSIGN_OR_RETURN(options.pem_root_certs, ReadPem(files.ca_file));
  }
  grpc::SslServerCredentialsOptions::PemKeyCertPair pair;
  TE_ASSIGN_OR_RETURN(pair.cert_chain, ReadPem(files.cert_file));
  TE_ASSIGN_OR_RETURN(pair.private_key, ReadPem(files.key_file));
  options.pem_key_cert_pairs.push_back(pair);
  return grpc::SslServerCredentials(options);
}

}  // namespace te
