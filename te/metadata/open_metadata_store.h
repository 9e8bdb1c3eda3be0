#ifndef TE_METADATA_OPEN_METADATA_STORE_H_
#define TE_METADATA_OPEN_METADATA_STORE_H_

#include <stddef.h>

#include <memory>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "te/base/clock.h"
#include "te/base/host_port.h"
#include "te/metadata/metadata_store.h"

namespace te {

struct OpenMetadataStoreOptions {
  // Watches that a Redis store may have at a time.
  size_t max_watches = 65536;
};

// The store at an address such as redis://host or grpc://host:port; see
// redis_address.h and grpc_address.h.
// INVALID_ARGUMENT for a scheme that is not known, which lists those that are.
// Other errors are those of the store's own Create: it must be reachable now.
absl::StatusOr<std::unique_ptr<MetadataStore>> OpenMetadataStore(
    absl::string_view uri, MonotonicTime deadline,
    const OpenMetadataStoreOptions& options = {});

// The same address for people: without user and password. INVALID_ARGUMENT and
// UNIMPLEMENTED as above; no I/O.
absl::StatusOr<std::string> DescribeMetadataStore(absl::string_view uri);

// The servers of such an address in its order, each with a port; none for
// unix://. Names are not resolved. Errors as of DescribeMetadataStore.
absl::StatusOr<std::vector<HostPort>> MetadataServers(absl::string_view uri);

}  // namespace te

#endif  // TE_METADATA_OPEN_METADATA_STORE_H_
