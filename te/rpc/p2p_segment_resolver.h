#ifndef TE_RPC_P2P_SEGMENT_RESOLVER_H_
#define TE_RPC_P2P_SEGMENT_RESOLVER_H_

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "te/base/clock.h"
#include "te/base/incarnation.h"
#include "te/metadata/segment_descriptor.h"
#include "te/metadata/segment_parts.h"
#include "te/metadata/segment_resolver.h"
#include "te/rpc/control_client.h"

namespace te {

// Segments without a metadata service: the name is the "host:port" of the
// peer's control server, which is asked itself. The descriptor's own name may
// differ: a host has several addresses. Publishing needs no more than to
// listen.
class P2pSegmentResolver final : public SegmentResolver {
 public:
  explicit P2pSegmentResolver(const ControlClientOptions& options = {})
      : options_(options) {}

  // INVALID_ARGUMENT when the name is no host:port, else as
  // ControlClient::GetSegment.
  absl::StatusOr<SegmentSnapshot> Lookup(absl::string_view name,
                                         const SegmentSnapshot* known,
                                         MonotonicTime deadline) override;
  bool keeps_descriptors() const override { return false; }
  // Only checks the descriptor.
  absl::Status Publish(const SegmentDescriptor& descriptor,
                       MonotonicTime deadline) override;
  // Does nothing.
  absl::Status Withdraw(absl::string_view name, const Incarnation& incarnation,
                        MonotonicTime deadline) override;

 private:
  const ControlClientOptions options_;
};

}  // namespace te

#endif  // TE_RPC_P2P_SEGMENT_RESOLVER_H_
