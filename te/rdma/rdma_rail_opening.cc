// How a rail's connections come about.

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "glog/logging.h"
#include "te/base/stale_peer.h"
#include "te/base/status_macros.h"
#include "te/rdma/rdma_rail.h"

namespace te::rdma {
namespace {

// Between two attempts to open a further lane where all endpoints are in use:
// after that an idle one would give way (EndpointStore::Need).
constexpr Duration kSparePause = std::chrono::seconds(1);

// A lost packet must have been sent again by then, a few times.
Duration ProofTime(const RdmaOptions& options) {
  const Duration ack_timeout =
      std::chrono::nanoseconds(int64_t{4096} << options.ack_timeout);
  return std::max<Duration>(std::chrono::seconds(1), 4 * ack_timeout);
}

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

}  // namespace

RdmaRail::RdmaRail(const RailServices& services, PeerIdentity peer,
                   uint64_t rail_id, std::shared_ptr<PeerChannel> channel)
    : services_(services),
      peer_(std::move(peer)),
      rail_id_(rail_id),
      session_(Nanoseconds()),
      channel_(std::move(channel)) {}

absl::StatusOr<std::shared_ptr<RdmaRail>> RdmaRail::Create(
    const RailServices& services, const PeerIdentity& peer, uint64_t rail_id,
    std::shared_ptr<PeerChannel> channel, MonotonicTime deadline) {
  std::shared_ptr<RdmaRail> rail(
      new RdmaRail(services, peer, rail_id, std::move(channel)));
  const absl::Status opened = rail->OpenFirst(deadline);
  if (!opened.ok()) return rail->FenceAfter(opened);
  return rail;
}

// Lane i goes from NIC i to NIC i of the peer, each modulo how many there are,
// so that each has one. If they are in different networks, the peer chooses
// another NIC of its own (ResponderTable).
void RdmaRail::AddLane() {
  const size_t local = lanes_.size() % services_.nics.size();
  Endpoint::Host& host = *this;
  lanes_.push_back({.endpoint = std::make_unique<Endpoint>(
                        *services_.nics[local], local, services_.memory,
                        services_.options, host)});
}

// The other lanes are opened when they are needed.
absl::Status RdmaRail::OpenFirst(MonotonicTime deadline) {
  for (size_t i = 0; i < services_.nics.size(); ++i) AddLane();
  // The rest is for whoever tries another transport.
  const MonotonicTime begin = RealClock().Now();
  deadline = DeadlineAfter(begin, TimeUntil(deadline, begin) / 3 * 2);
  std::vector<std::string> failures;
  absl::Status failure;
  for (size_t i = 0; i < lanes_.size(); ++i) {
    failure = lanes_[i].endpoint->nic().device->health();
    // Each gets its share: the first may be one that nobody answers.
    const MonotonicTime now = RealClock().Now();
    const auto left = static_cast<int>(lanes_.size() - i);
    if (failure.ok()) {
      failure = OpenNow(i, DeadlineAfter(now, TimeUntil(deadline, now) / left));
    }
    if (failure.ok()) return absl::OkStatus();
    // That concerns the peer as a whole.
    if (IsStalePeer(failure) || absl::IsUnimplemented(failure)) return failure;
    failures.emplace_back(failure.message());
  }
  return absl::Status(failure.code(), absl::StrJoin(failures, "; "));
}

// The peer ends what there was before with the first request of a new session,
// whatever that asks for.
absl::Status RdmaRail::Fence(const PeerIdentity& peer, uint64_t rail_id,
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

// What an earlier rail has sent may still arrive, unless the peer has ended
// that: it may not have heard of this one.
absl::Status RdmaRail::FenceAfter(const absl::Status& failure) {
  if (IsStalePeer(failure) || absl::IsUnimplemented(failure)) return failure;
  const absl::Status fenced = Fence(peer_, rail_id_, *channel_,
                                    In(services_.options.handshake_timeout));
  if (fenced.ok() || IsStalePeer(fenced)) return failure;
  return absl::AbortedError(
      absl::StrCat(failure.message(),
                   "; besides, the peer cannot be told to end what there was "
                   "before: ",
                   fenced.message()));
}

absl::Status RdmaRail::OpenNow(size_t lane, MonotonicTime deadline) {
  // Also if it fails, the peer may have heard of it.
  lanes_[lane].known_to_peer = true;
  TE_ASSIGN_OR_RETURN(EndpointStore::Place place, TakePlace(lane, deadline));
  TE_ASSIGN_OR_RETURN(std::unique_ptr<Connection> connection,
                      Handshake(lane, std::move(place), deadline));
  if (remote_nics_ == 0) {
    remote_nics_ = connection->remote_nics;
    // Before anybody may find an endpoint, and look for its lane.
    while (lanes_.size() < remote_nics_) AddLane();
  }
  TE_RETURN_IF_ERROR(CheckNics(lane, connection));
  driving_.Take();
  Install(lanes_[lane], std::move(connection));
  driving_.Pass();
  return AwaitProof(*lanes_[lane].endpoint, deadline);
}

// Of a connection that was made just now.
absl::Status RdmaRail::CheckNics(size_t lane,
                                 std::unique_ptr<Connection>& connection) {
  if (connection->remote_nics == remote_nics_) return absl::OkStatus();
  // Before the lane may be opened again.
  lanes_[lane].endpoint->Discard(std::move(connection));
  return absl::InternalError("the peer's NICs have changed");
}

// Handshakes go by another way. Breaks the connection if it leads nowhere.
absl::Status RdmaRail::AwaitProof(Endpoint& endpoint, MonotonicTime deadline) {
  deadline = std::min(deadline, In(ProofTime(services_.options)));
  // Before the looks at the endpoint: who changes it looks the other way round.
  awaiting_proof_ = true;
  {
    MutexLock lock(mutex_);
    while (!endpoint.proven() && !endpoint.broken() &&
           changed_.WaitUntil(mutex_, deadline)) {
    }
  }
  awaiting_proof_ = false;
  if (endpoint.proven()) return absl::OkStatus();
  const absl::Status why = absl::UnavailableError(absl::StrCat(
      endpoint.Describe(),
      ": the peer's NIC has not answered in time to a first packet. Are both "
      "in one network? If not, choose at both ends those that are "
      "(--device_name)"));
  driving_.Take();
  endpoint.Break(why);
  driving_.Pass();
  // Whoever else breaks it may not have said why yet.
  const absl::Status failure = endpoint.failure();
  return failure.ok() ? why : failure;
}

void RdmaRail::TellWhoAwaitsProof() {
  if (!awaiting_proof_) return;
  MutexLock lock(mutex_);
  changed_.NotifyAll();
}

// The lane serves once its first probe has come back.
void RdmaRail::Install(Lane& lane, std::unique_ptr<Connection> connection) {
  lane.state = State::kOpen;
  lane.opened_at = lane.last_use = lane.last_completion = RealClock().Now();
  lane.endpoint->Install(std::move(connection));
  lane.probed = true;
  lane.endpoint->Probe();
}

absl::StatusOr<HandshakeResponse> RdmaRail::Exchange(
    size_t lane, std::optional<EndpointOffer> offer, MonotonicTime deadline) {
  const HandshakeRequest request = {
      .server = peer_.incarnation,
      .rail_id = rail_id_,
      .session = session_,
      .epoch = Nanoseconds(),
      .client_nic = static_cast<uint32_t>(lanes_[lane].endpoint->local()),
      .server_nic = static_cast<uint32_t>(lane),
      .offer = std::move(offer)};
  return Ask(*channel_, request, deadline);
}

// Fails if there is none, and for no other reason.
absl::StatusOr<EndpointStore::Place> RdmaRail::TakePlace(
    size_t lane, MonotonicTime deadline) {
  return services_.endpoints.Take(
      std::shared_ptr<EndpointStore::Evictable>(shared_from_this(),
                                                lanes_[lane].endpoint.get()),
      deadline, lanes_[lane].need);
}

absl::StatusOr<std::unique_ptr<Connection>> RdmaRail::Handshake(
    size_t lane, EndpointStore::Place place, MonotonicTime deadline) {
  Endpoint& endpoint = *lanes_[lane].endpoint;
  TE_ASSIGN_OR_RETURN(std::unique_ptr<Connection> connection,
                      endpoint.MakeConnection(std::move(place)));
  absl::StatusOr<HandshakeResponse> response = Exchange(
      lane, OfferOf(endpoint.nic(), *connection, services_.options), deadline);
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

// A task: makes the connection of a lane whose state is kOpening.
void RdmaRail::Open(size_t index) {
  Lane& lane = lanes_[index];
  std::unique_ptr<Connection> connection;
  const MonotonicTime deadline = In(services_.options.handshake_timeout);
  absl::StatusOr<EndpointStore::Place> place = TakePlace(index, deadline);
  const bool has_place = place.ok();
  const absl::Status status =
      has_place ? Connect(index, *std::move(place), deadline, connection)
                : place.status();
  driving_.Take();
  lane.state = State::kClosed;
  lane.known_to_peer = true;
  if (status.ok() && !failed_) {
    Install(lane, std::move(connection));
  } else if (lane.need == EndpointStore::Need::kSpare && !has_place) {
    // That is no fault of the lane's, which may yet be needed. It would be if
    // the device or the peer had no room for more: others may do better then.
    next_spare_ = In(kSparePause);
  } else if (!status.ok()) {
    // The next attempt would fail likewise.
    lane.failures = std::max(lane.failures, 1);
    CountFailure(lane);
    MutexLock lock(mutex_);
    last_error_ = status;
  }
  driving_.Pass();
  if (connection != nullptr) lane.endpoint->Discard(std::move(connection));
  // Close has said goodbye already.
  if (failed_) SayGoodbye();
  Drive();
}

absl::Status RdmaRail::Connect(size_t index, EndpointStore::Place place,
                               MonotonicTime deadline,
                               std::unique_ptr<Connection>& connection) {
  if (failed_) return health();
  TE_ASSIGN_OR_RETURN(connection, Handshake(index, std::move(place), deadline));
  return CheckNics(index, connection);
}

}  // namespace te::rdma
