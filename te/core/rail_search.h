#ifndef TE_CORE_RAIL_SEARCH_H_
#define TE_CORE_RAIL_SEARCH_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "te/base/clock.h"
#include "te/core/rail_history.h"
#include "te/metadata/segment_descriptor.h"
#include "te/transport/peer_channel.h"
#include "te/transport/transport.h"

namespace te {

// The rails of a transport as one, and its name.
struct NamedRail {
  std::string transport;
  std::shared_ptr<Rail> rail;
};

// What leads to a peer.
struct FoundRails {
  // Best first. Together they reach all of the peer's memory, if any do.
  std::vector<NamedRail> rails;
  // Transports that would have come before the last one, or that do not reach
  // all of the memory, each with why; and those of them that are a reason to
  // worry: not that the peer is on another host.
  std::vector<std::string> passed_over;
  std::vector<std::string> worries;
};

// Makes one of the rails of a transport.
using RailJoiner = absl::FunctionRef<std::shared_ptr<Rail>(Rails)>;

// Sets rails up with the peer that the descriptor tells of, over the first of
// `transports` that works, and the next ones as long as those before do not
// reach all of its memory. Earlier rails to it are closed. When this returns
// OK, nothing that others in `history` have sent can arrive any more.
absl::StatusOr<FoundRails> FindRails(
    absl::Span<const std::unique_ptr<Transport>> transports, RailJoiner join,
    const std::string& segment, const SegmentDescriptor& descriptor,
    RailHistory& history, const std::shared_ptr<PeerChannel>& channel,
    MonotonicTime deadline);

}  // namespace te

#endif  // TE_CORE_RAIL_SEARCH_H_
