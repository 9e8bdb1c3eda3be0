#include "te/rpc/p2p_segment_resolver.h"

#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "te/base/clock.h"
#include "te/base/incarnation.h"
#include "te/metadata/segment_descriptor.h"
#include "te/metadata/segment_parts.h"
#include "te/rpc/control_client.h"

namespace te {

absl::StatusOr<SegmentSnapshot> P2pSegmentResolver::Lookup(
    absl::string_view name, const SegmentSnapshot* known,
    MonotonicTime deadline) {
  // A client per lookup: a kept connection to each peer ever asked would have
  // to be bounded.
  absl::StatusOr<std::unique_ptr<ControlClient>> client =
      ControlClient::Create(name, options_);
  if (!client.ok()) {
    return absl::InvalidArgumentError(absl::StrCat(
        "without a metadata service a segment's name is the host:port of its "
        "process: ",
        client.status().message()));
  }
  return (*client)->GetSegment(deadline, known);
}

absl::Status P2pSegmentResolver::Publish(const SegmentDescriptor& descriptor,
                                         MonotonicTime) {
  return descriptor.Validate();
}

absl::Status P2pSegmentResolver::Withdraw(absl::string_view, const Incarnation&,
                                          MonotonicTime) {
  return absl::OkStatus();
}

}  // namespace te
