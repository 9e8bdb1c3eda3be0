#include "te/core/rail_search.h"

#include <algorithm>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "te/base/stale_peer.h"
#include "te/base/status_macros.h"

namespace te {
namespace {

using Transports = absl::Span<const std::unique_ptr<Transport>>;

// What stands in the way where the two engines have no transport in common; OK
// where they have.
absl::Status CheckCommonTransport(const std::string& segment,
                                  const SegmentDescriptor& descriptor,
                                  Transports transports) {
  std::vector<absl::string_view> here;
  for (const auto& transport : transports) {
    if (descriptor.transports.contains(std::string(transport->name()))) {
      return absl::OkStatus();
    }
    here.push_back(transport->name());
  }
  std::vector<absl::string_view> there;
  for (const auto& [transport, unused] : descriptor.transports) {
    there.push_back(transport);
  }
  return absl::UnimplementedError(
      absl::StrCat("segment ", segment, " can be reached over ",
                   there.empty() ? "no transport" : absl::StrJoin(there, ", "),
                   ", and this engine has ", absl::StrJoin(here, ", "),
                   "; start both with a protocol that the other has too"));
}

// What earlier rails have carried over other transports must not arrive after
// what is to go over these, whose Connect has fenced their own. Done when they
// have led somewhere and have carried nothing yet: most transports that are
// tried before one that serves never lead to this peer, and a fence costs a
// call to it.
absl::Status FenceOthers(Transports transports, const FoundRails& found,
                         const PeerIdentity& identity, RailHistory& history,
                         PeerChannel& channel, MonotonicTime deadline) {
  std::vector<std::string> used = history.Transports(identity.incarnation);
  for (const NamedRail& rail : found.rails) std::erase(used, rail.transport);
  for (const auto& transport : transports) {
    const std::string name(transport->name());
    if (std::find(used.begin(), used.end(), name) == used.end()) continue;
    TE_RETURN_IF_ERROR(
        transport->Fence(identity, history.rail_id(), channel, deadline));
    history.Remove(identity.incarnation, name);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<FoundRails> FindRails(
    Transports transports, RailJoiner join, const std::string& segment,
    const SegmentDescriptor& descriptor, RailHistory& history,
    const std::shared_ptr<PeerChannel>& channel, MonotonicTime deadline) {
  const PeerIdentity identity = {.name = segment,
                                 .incarnation = descriptor.incarnation,
                                 .boot_id = descriptor.host.boot_id};
  FoundRails found;
  absl::Cleanup close = [&] {
    for (const NamedRail& rail : found.rails) {
      rail.rail->Close(absl::AbortedError("the peer is not connected to"));
    }
  };
  absl::Status failure;
  bool complete = false;
  for (const auto& transport : transports) {
    const std::string name(transport->name());
    if (complete || !descriptor.transports.contains(name)) continue;
    absl::StatusOr<Rails> rails =
        transport->Connect(identity, history.rail_id(), channel, deadline);
    const absl::Status status = rails.status();
    // The latter: something of an earlier rail may still arrive.
    if (IsStalePeer(status) || absl::IsAborted(status)) return status;
    std::string why(status.message());
    if (rails.ok()) {
      found.rails.push_back(
          {.transport = name, .rail = join(*std::move(rails))});
      why = found.rails.back().rail->limits();
      complete = why.empty();
    } else {
      failure = status;
    }
    if (complete) continue;
    found.passed_over.push_back(absl::StrCat(name, ": ", why));
    if (!absl::IsNotFound(status)) {
      found.worries.push_back(found.passed_over.back());
    }
  }
  if (found.rails.empty()) {
    // Only now: the descriptor may have been an old one.
    TE_RETURN_IF_ERROR(CheckCommonTransport(segment, descriptor, transports));
    return absl::Status(
        failure.code(),
        absl::StrCat("cannot connect to segment ", segment, ": ",
                     absl::StrJoin(found.passed_over, "; ")));
  }
  TE_RETURN_IF_ERROR(
      FenceOthers(transports, found, identity, history, *channel, deadline));
  for (const NamedRail& rail : found.rails) {
    history.Add(identity.incarnation, rail.transport);
  }
  std::move(close).Cancel();
  return found;
}

}  // namespace te
