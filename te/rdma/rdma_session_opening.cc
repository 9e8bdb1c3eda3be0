// How a session's connections come about.

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "glog/logging.h"
#include "te/base/stale_peer.h"
#include "te/base/status_macros.h"
#include "te/rdma/endpoint.h"
#include "te/rdma/rdma_session.h"

namespace te::rdma {
namespace {

uint64_t Nanoseconds() {
  return static_cast<uint64_t>(RealClock().Now().time_since_epoch().count());
}

absl::StatusOr<HandshakeResponse> Ask(PeerChannel& channel,
                                      const HandshakeRequest& request,
                                      MonotonicTime deadline) {
  TE_ASSIGN_OR_RETURN(
      const std::string answer,
      channel.Exchange(kRdmaTransportName, Serialize(request), deadline));
  return ParseResponse(answer);
}

// Then no lane leads to it.
bool ConcernsPeer(const absl::Status& failure) {
  return IsStalePeer(failure) || absl::IsUnimplemented(failure);
}

}  // namespace

RdmaSession::RdmaSession(const SessionServices& services, PeerIdentity peer,
                         uint64_t rail_id, std::shared_ptr<PeerChannel> channel)
    : services_(services),
      peer_(std::move(peer)),
      rail_id_(rail_id),
      session_(Nanoseconds()),
      channel_(std::move(channel)) {}

absl::StatusOr<std::shared_ptr<RdmaSession>> RdmaSession::Create(
    const SessionServices& services, const PeerIdentity& peer, uint64_t rail_id,
    std::shared_ptr<PeerChannel> channel, MonotonicTime deadline) {
  std::shared_ptr<RdmaSession> session(
      new RdmaSession(services, peer, rail_id, std::move(channel)));
  const absl::Status opened = session->OpenFirst(deadline);
  if (!opened.ok()) return session->FenceAfter(opened, deadline);
  return session;
}

// Lane i goes from NIC i to NIC i of the peer, each modulo how many there are,
// so that each has one. If they are in different networks, the peer chooses
// another NIC of its own (ResponderTable).
void RdmaSession::AddRail() {
  const size_t lane = rails_.size();
  const size_t local = lane % services_.nics.size();
  RdmaRail::Session& session = *this;
  rails_.push_back(
      std::make_unique<RdmaRail>(RdmaRail::Parts{.session = session,
                                                 .peer = peer_.name,
                                                 .options = services_.options,
                                                 .matrix = services_.matrix,
                                                 .memory = services_.memory},
                                 *services_.nics[local], local, lane));
}

// The others are opened when they are needed.
absl::Status RdmaSession::OpenFirst(MonotonicTime deadline) {
  for (size_t i = 0; i < services_.nics.size(); ++i) AddRail();
  // The rest is for the fence, and for whoever tries another transport.
  const MonotonicTime begin = RealClock().Now();
  deadline = DeadlineAfter(begin, TimeUntil(deadline, begin) / 3 * 2);
  std::vector<std::string> failures;
  absl::Status failure;
  for (size_t i = 0; i < rails_.size(); ++i) {
    failure = rails_[i]->endpoint().nic().device->health();
    if (failure.ok()) failure = OpenNow(*rails_[i], deadline);
    if (failure.ok()) return absl::OkStatus();
    if (ConcernsPeer(failure)) return failure;
    // Often all lanes fail alike.
    if (failures.empty() || failures.back() != failure.message()) {
      failures.emplace_back(failure.message());
    }
    if (RealClock().Now() >= deadline) break;
  }
  return absl::Status(failure.code(), absl::StrJoin(failures, "; "));
}

// The peer ends what there was before with the first request of a new session,
// whatever that asks for.
absl::Status RdmaSession::Fence(const PeerIdentity& peer, uint64_t rail_id,
                                PeerChannel& channel, MonotonicTime deadline) {
  const uint64_t now = Nanoseconds();
  return Ask(channel,
             {.server = peer.incarnation,
              .rail_id = rail_id,
              .session = now,
              .epoch = now,
              .offer = std::nullopt},
             deadline)
      .status();
}

// What an earlier session has sent may still arrive, unless the peer has ended
// that: it may not have heard of this one.
absl::Status RdmaSession::FenceAfter(const absl::Status& failure,
                                     MonotonicTime deadline) {
  if (ConcernsPeer(failure)) return failure;
  deadline = std::min(deadline, In(services_.options.handshake_timeout));
  const absl::Status fenced = Fence(peer_, rail_id_, *channel_, deadline);
  if (fenced.ok() || IsStalePeer(fenced)) return failure;
  return absl::AbortedError(
      absl::StrCat(failure.message(),
                   "; besides, the peer cannot be told to end what there was "
                   "before: ",
                   fenced.message()));
}

// Half of what is left, but for the last lane: it may be one that leads
// nowhere, where the handshake may fail for it (ARP takes the peer a second),
// or the proof. Not less, as the peer may merely be slow to answer, which would
// be so for every lane.
MonotonicTime RdmaSession::ShareOf(const RdmaRail& rail,
                                   MonotonicTime deadline) const {
  const bool last = std::none_of(
      std::next(rails_.begin(), static_cast<ptrdiff_t>(rail.index()) + 1),
      rails_.end(), [](const auto& later) {
        return later->endpoint().nic().device->health().ok();
      });
  if (last) return deadline;
  const MonotonicTime now = RealClock().Now();
  return DeadlineAfter(now, TimeUntil(deadline, now) / 2);
}

absl::Status RdmaSession::OpenNow(RdmaRail& rail, MonotonicTime deadline) {
  // Also if it fails, the peer may have heard of it.
  rail.MarkKnownToPeer();
  const MonotonicTime share = ShareOf(rail, deadline);
  TE_ASSIGN_OR_RETURN(EndpointStore::Place place,
                      TakePlace(rail, Need::kRequired, share));
  TE_ASSIGN_OR_RETURN(std::unique_ptr<Connection> connection,
                      Handshake(rail, std::move(place), share));
  if (remote_nics_ == 0) {
    remote_nics_ = connection->remote_nics;
    // Before anybody may look for other rails.
    while (rails_.size() < remote_nics_) AddRail();
    for (const auto& each : rails_) each->SetRemoteNics(remote_nics_);
  }
  TE_RETURN_IF_ERROR(CheckNics(rail, connection));
  rail.Install(connection);
  if (connection != nullptr) {
    rail.endpoint().Discard(std::move(connection));
    return health();
  }
  return rail.AwaitProof(ShareOf(rail, deadline));
}

// Of a connection that was made just now.
absl::Status RdmaSession::CheckNics(RdmaRail& rail,
                                    std::unique_ptr<Connection>& connection) {
  if (connection->remote_nics == remote_nics_) return absl::OkStatus();
  // Before the lane may be opened again.
  rail.endpoint().Discard(std::move(connection));
  return absl::InternalError("the peer's NICs have changed");
}

absl::StatusOr<HandshakeResponse> RdmaSession::Exchange(
    const RdmaRail& rail, std::optional<EndpointOffer> offer,
    MonotonicTime deadline) {
  const HandshakeRequest request = {
      .server = peer_.incarnation,
      .rail_id = rail_id_,
      .session = session_,
      .epoch = Nanoseconds(),
      .client_nic = static_cast<uint32_t>(rail.local()),
      .server_nic = static_cast<uint32_t>(rail.index()),
      .offer = std::move(offer)};
  return Ask(*channel_, request, deadline);
}

// Fails if there is none, and for no other reason.
absl::StatusOr<EndpointStore::Place> RdmaSession::TakePlace(
    RdmaRail& rail, Need need, MonotonicTime deadline) {
  return services_.endpoints.Take(std::shared_ptr<EndpointStore::Evictable>(
                                      shared_from_this(), &rail.endpoint()),
                                  deadline, need);
}

absl::StatusOr<std::unique_ptr<Connection>> RdmaSession::Handshake(
    RdmaRail& rail, EndpointStore::Place place, MonotonicTime deadline) {
  Endpoint& endpoint = rail.endpoint();
  TE_ASSIGN_OR_RETURN(std::unique_ptr<Connection> connection,
                      endpoint.MakeConnection(std::move(place)));
  absl::StatusOr<HandshakeResponse> response = Exchange(
      rail, OfferOf(endpoint.nic(), *connection, services_.options), deadline);
  absl::Status status = response.status();
  if (status.ok()) {
    status = rdma::Connect(endpoint.nic(), *response, services_.options,
                           *connection);
  }
  if (!status.ok()) {
    endpoint.Discard(std::move(connection));
    return status;
  }
  LOG(INFO) << "rdma to " << peer_.name << ": " << connection->description;
  return connection;
}

void RdmaSession::ScheduleOpening(RdmaRail& rail, Need need) {
  Schedule(services_.handshakes, {},
           need == Need::kSpare ? &RdmaSession::OpenSpare
                                : &RdmaSession::OpenRequired,
           rail);
}

bool RdmaSession::HasReadyRailBeside(const RdmaRail& rail) const {
  return std::any_of(rails_.begin(), rails_.end(), [&rail](const auto& other) {
    return other.get() != &rail && other->Serves();
  });
}

// A task: makes the connection of a rail that waits for it.
void RdmaSession::Open(RdmaRail& rail, Need need) {
  std::unique_ptr<Connection> connection;
  const MonotonicTime deadline = In(services_.options.handshake_timeout);
  absl::StatusOr<EndpointStore::Place> place = TakePlace(rail, need, deadline);
  const bool has_place = place.ok();
  const absl::Status status =
      has_place ? Connect(rail, *std::move(place), deadline, connection)
                : place.status();
  rail.MarkKnownToPeer();
  if (status.ok()) {
    rail.Install(connection);
  } else {
    // That there is no place would be a fault of the lane's if it were the
    // device or the peer that has no room for more: others may do better then.
    rail.OpeningFailed(status, need == Need::kSpare && !has_place);
    if (ConcernsPeer(status)) Fail(absl::UnavailableError(status.message()));
  }
  if (connection != nullptr) rail.endpoint().Discard(std::move(connection));
  // Close has said goodbye already.
  if (failed_) SayGoodbye();
}

absl::Status RdmaSession::Connect(RdmaRail& rail, EndpointStore::Place place,
                                  MonotonicTime deadline,
                                  std::unique_ptr<Connection>& connection) {
  if (failed_) return health();
  TE_ASSIGN_OR_RETURN(connection, Handshake(rail, std::move(place), deadline));
  return CheckNics(rail, connection);
}

}  // namespace te::rdma
