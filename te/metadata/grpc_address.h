#ifndef TE_METADATA_GRPC_ADDRESS_H_
#define TE_METADATA_GRPC_ADDRESS_H_

#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "te/base/host_port.h"

namespace te {

// Where a metadata server of te's is:
//
//   grpc://host:port[,host:port...]
//   grpcs://host:port[,host:port...]?ca=FILE[&cert=FILE&key=FILE][&name=HOST]
//
// Several addresses are those of servers with one and the same store; they are
// tried in their order. grpcs is TLS: the server's certificate must be signed
// by one of those in `ca` and be made out to `name`, or else to the first host;
// `cert` and `key` are the client's own, for a server that asks for them. Files
// are PEM. A FILE must not contain '&'.
struct GrpcAddress {
  // Each with a port that is not 0; at least one.
  std::vector<HostPort> servers;

  bool tls = false;
  // Empty without TLS; cert_file and key_file are both empty or both set.
  std::string ca_file;
  std::string cert_file;
  std::string key_file;
  std::string tls_name;

  // INVALID_ARGUMENT says what is wrong.
  static absl::StatusOr<GrpcAddress> Parse(absl::string_view uri);

  // As above; Parse reads it back.
  std::string ToString() const;

  friend bool operator==(const GrpcAddress&, const GrpcAddress&) = default;
};

}  // namespace te

#endif  // TE_METADATA_GRPC_ADDRESS_H_
