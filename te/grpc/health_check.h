#ifndef TE_GRPC_HEALTH_CHECK_H_
#define TE_GRPC_HEALTH_CHECK_H_

#include <string>

#include "absl/status/statusor.h"
#include "te/base/clock.h"

namespace te {

// For tests: whether the server at "host:port" says that it serves.
absl::StatusOr<bool> CheckHealth(const std::string& address,
                                 MonotonicTime deadline);

}  // namespace te

#endif  // TE_GRPC_HEALTH_CHECK_H_
