#ifndef TE_METADATA_METADATA_ACCESS_H_
#define TE_METADATA_METADATA_ACCESS_H_

#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "te/base/clock.h"

namespace te {

// One call of a client, when it has ended. A watch is two: when it begins, and
// when it ends, with the time in between.
struct MetadataAccess {
  absl::string_view method;
  absl::string_view key;
  std::string peer;  // as gRPC writes it
  absl::Status status;
  Duration duration = Duration::zero();
};

}  // namespace te

#endif  // TE_METADATA_METADATA_ACCESS_H_
