#include "te/rdma/rdma_rail.h"

#include <sched.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "glog/logging.h"
#include "te/base/stale_peer.h"
#include "te/base/status_macros.h"

namespace te::rdma {
namespace {

using std::chrono::milliseconds;

constexpr Duration kFirstPause = milliseconds(10);
constexpr Duration kLongestPause = std::chrono::seconds(1);
// Between two looks at a connection that is giving back its work.
constexpr Duration kFlushPause = milliseconds(1);
constexpr Duration kFarewell = std::chrono::seconds(1);

// The first attempt comes at once.
Duration PauseAfter(int failures) {
  if (failures <= 1) return Duration::zero();
  return std::min(kFirstPause * (1 << std::min(failures - 2, 10)),
                  kLongestPause);
}

// A lost packet must have been sent again by then, a few times.
Duration ProofTime(const RdmaOptions& options) {
  const Duration ack_timeout =
      std::chrono::nanoseconds(int64_t{4096} << options.ack_timeout);
  return std::max<Duration>(std::chrono::seconds(1), 4 * ack_timeout);
}

MonotonicTime In(Duration time) {
  return DeadlineAfter(RealClock().Now(), time);
}

uint64_t Nanoseconds() {
  return static_cast<uint64_t>(RealClock().Now().time_since_epoch().count());
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
  if (!opened.ok()) return rail->Fence(opened);
  return rail;
}

RdmaRail::~RdmaRail() {
  // The transport may be gone if it is.
  if (!closed_) Close(absl::CancelledError("the rail is gone"));
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

// What an earlier rail has sent may still arrive, unless the peer has ended
// that. It does so with the first request of a new session, whatever that asks
// for.
absl::Status RdmaRail::Fence(const absl::Status& why) {
  if (IsStalePeer(why) || absl::IsUnimplemented(why)) return why;
  const absl::Status fenced =
      Exchange(0, std::nullopt, In(services_.options.handshake_timeout))
          .status();
  if (fenced.ok() || IsStalePeer(fenced)) return why;
  return absl::AbortedError(
      absl::StrCat(why.message(),
                   "; besides, the peer cannot be told to end what there was "
                   "before: ",
                   fenced.message()));
}

absl::Status RdmaRail::OpenNow(size_t lane, MonotonicTime deadline) {
  // Also if it fails, the peer may have heard of it.
  lanes_[lane].known_to_peer = true;
  TE_ASSIGN_OR_RETURN(std::unique_ptr<Connection> connection,
                      Handshake(lane, deadline));
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
  TE_ASSIGN_OR_RETURN(
      const std::string answer,
      channel_->Exchange(kRdmaTransportName, Serialize(request), deadline));
  return ParseResponse(answer);
}

absl::StatusOr<std::unique_ptr<Connection>> RdmaRail::Handshake(
    size_t lane, MonotonicTime deadline) {
  Endpoint& endpoint = *lanes_[lane].endpoint;
  TE_ASSIGN_OR_RETURN(
      EndpointStore::Place place,
      services_.endpoints.Take(std::shared_ptr<EndpointStore::Evictable>(
                                   shared_from_this(), &endpoint),
                               deadline));
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
  const absl::Status status = Connect(index, connection);
  driving_.Take();
  lane.state = State::kClosed;
  lane.known_to_peer = true;
  if (status.ok() && !failed_) {
    Install(lane, std::move(connection));
  } else if (!status.ok()) {
    // The next attempt would fail likewise.
    lane.failures = std::max(lane.failures, 1);
    lane.retry_at = In(PauseAfter(++lane.failures));
    MutexLock lock(mutex_);
    last_error_ = status;
  }
  driving_.Pass();
  if (connection != nullptr) lane.endpoint->Discard(std::move(connection));
  // Close has said goodbye already.
  if (failed_) SayGoodbye();
  Drive();
}

absl::Status RdmaRail::Connect(size_t index,
                               std::unique_ptr<Connection>& connection) {
  if (failed_) return health();
  TE_ASSIGN_OR_RETURN(
      connection, Handshake(index, In(services_.options.handshake_timeout)));
  return CheckNics(index, connection);
}

size_t RdmaRail::LaneOf(const Endpoint& endpoint) const {
  size_t lane = 0;
  while (lanes_[lane].endpoint.get() != &endpoint) ++lane;
  return lane;
}

// Not from the destructor, when nobody can share the rail any more: what Close
// does there needs no task.
void RdmaRail::Schedule(TaskQueue& queue, Duration pause,
                        void (RdmaRail::*task)(size_t), size_t lane) {
  auto self = weak_from_this().lock();
  if (self == nullptr) return;
  queue.Schedule(In(pause), [self = std::move(self), task, lane] {
    ((*self).*task)(lane);
  });
}

void RdmaRail::OnBroken(Endpoint& endpoint) {
  // That of a rail that is closed needs no mention.
  if (!failed_) {
    const absl::Status why = endpoint.failure();
    LOG(WARNING) << "rdma to " << peer_.name << ": " << why;
    MutexLock lock(mutex_);
    last_error_ = why;
  }
  TellWhoAwaitsProof();
  Schedule(services_.local_tasks, {}, &RdmaRail::Recover, LaneOf(endpoint));
}

void RdmaRail::OnEvicted(Endpoint& endpoint) {
  Schedule(services_.local_tasks, {}, &RdmaRail::Drain, LaneOf(endpoint));
}

// A task: ends a connection that nobody wants any more, once nothing is under
// way on it. If it breaks meanwhile, Recover does so.
void RdmaRail::Drain(size_t index) {
  Lane& lane = lanes_[index];
  lane.endpoint->Poll();
  driving_.Take();
  const bool evicted = lane.state == State::kOpen && lane.endpoint->evicted() &&
                       !lane.endpoint->broken();
  const bool quiet = evicted && lane.endpoint->quiet();
  if (quiet) {
    // Mostly nothing: something may have failed at the last moment.
    lane.held.Append(lane.endpoint->Retire());
    lane.state = State::kBroken;
  }
  driving_.Pass();
  // Others may have come by meanwhile.
  Drive();
  if (quiet) {
    Schedule(services_.handshakes, {}, &RdmaRail::TellPeer, index);
  } else if (evicted) {
    Schedule(services_.local_tasks, kFlushPause, &RdmaRail::Drain, index);
  }
}

// Whether a broken lane has nothing under way any more, or may not have.
bool RdmaRail::Flushed(Lane& lane, MonotonicTime now) {
  if (lane.state == State::kOpen && lane.endpoint->broken()) {
    lane.state = State::kBroken;
    lane.flush_deadline = DeadlineAfter(now, services_.options.flush_timeout);
  }
  return lane.state == State::kBroken &&
         (lane.endpoint->quiet() || now >= lane.flush_deadline);
}

// A task: ends a broken connection here.
void RdmaRail::Recover(size_t index) {
  Lane& lane = lanes_[index];
  lane.endpoint->Poll();
  const MonotonicTime now = RealClock().Now();
  driving_.Take();
  const bool flushed = Flushed(lane, now);
  const bool broken = lane.state == State::kBroken;
  if (flushed) lane.held.Append(lane.endpoint->Retire());
  driving_.Pass();
  // Others may have come by meanwhile, and other lanes may have room for them.
  Drive();
  if (flushed) {
    Schedule(services_.handshakes, {}, &RdmaRail::TellPeer, index);
  } else if (broken) {
    // Else Close has done it.
    Schedule(services_.local_tasks, kFlushPause, &RdmaRail::Recover, index);
  }
}

// A task: has the peer end its side of a lane that has ended here, and gives
// back what was on it. What was sent may arrive until then.
void RdmaRail::TellPeer(size_t index) {
  Lane& lane = lanes_[index];
  absl::Status told;
  if (!failed_) {
    told =
        Exchange(index, std::nullopt, In(services_.options.handshake_timeout))
            .status();
  }
  const absl::Status broken = lane.endpoint->failure();
  const absl::Status why =
      broken.ok() ? absl::AbortedError("its endpoint was closed") : broken;
  if (!told.ok()) {
    // Then whoever connects anew makes sure of that.
    Fail(absl::UnavailableError(absl::StrCat(
        why.message(),
        "; besides, the peer cannot be told so: ", told.message())));
  }
  driving_.Take();
  SliceList held = std::move(lane.held);
  CloseLane(lane);
  driving_.Pass();
  FinishAll(std::move(held), failed_ ? health() : why);
  Drive();
}

void RdmaRail::CloseLane(Lane& lane) {
  if (lane.state == State::kClosed) return;
  lane.state = State::kClosed;
  if (lane.endpoint->has_carried() || lane.endpoint->failure().ok()) {
    lane.failures = 0;
  }
  lane.retry_at = In(PauseAfter(++lane.failures));
}

void RdmaRail::SetFailed(const absl::Status& why) {
  MutexLock lock(mutex_);
  if (!health_.ok()) return;
  health_ = why;
  failed_ = true;
}

void RdmaRail::BreakAll(const absl::Status& why) {
  for (Lane& lane : lanes_) {
    if (lane.state == State::kOpen) lane.endpoint->Break(why);
  }
}

void RdmaRail::Fail(const absl::Status& why) {
  SetFailed(why);
  driving_.Take();
  BreakAll(why);
  driving_.Pass();
  Drive();
}

void RdmaRail::Sweep(MonotonicTime now) {
  driving_.Take();
  for (Lane& lane : lanes_) SweepLane(lane, now);
  driving_.Pass();
  Drive();
}

void RdmaRail::SweepLane(Lane& lane, MonotonicTime now) {
  Endpoint& endpoint = *lane.endpoint;
  if (lane.state != State::kOpen) return;
  // What has completed unseen is not late.
  endpoint.Poll();
  endpoint.CheckProgress(now);
  if (!endpoint.usable()) return;
  const uint64_t completed = endpoint.completed();
  if (completed != std::exchange(lane.completed, completed)) {
    lane.last_completion = now;
    if (!std::exchange(lane.probed, false)) lane.last_use = now;
  }
  if (!endpoint.quiet()) return;
  if (now - lane.last_use >= services_.options.idle_timeout) {
    endpoint.Evict();
  } else if (now - lane.last_completion >= services_.options.keepalive) {
    lane.probed = true;
    endpoint.Probe();
  }
}

absl::Status RdmaRail::health() const {
  MutexLock lock(mutex_);
  return health_;
}

std::string RdmaRail::name() const {
  std::vector<std::string> lanes;
  for (const Lane& lane : lanes_) {
    if (!lane.endpoint->broken()) lanes.push_back(lane.endpoint->Describe());
  }
  return absl::StrCat(
      "rdma to ", peer_.name, ": ",
      lanes.empty() ? "no connection" : absl::StrJoin(lanes, "; "));
}

void RdmaRail::Close(const absl::Status& why) {
  if (closed_) {
    // The transport may be gone. What is posted all the same comes back by
    // itself.
    while (unfinished_ > 0) sched_yield();
    return;
  }
  Fail(why);
  const MonotonicTime deadline = In(services_.options.flush_timeout);
  bool open = false;
  do {
    open = RetireLanes(deadline);
    Drive();
    if (open || unfinished_ > 0) sched_yield();
  } while (open || unfinished_ > 0);
  SayGoodbye();
  closed_ = true;
}

// So that the peer need not find out by itself that nobody uses its queue pairs
// any more.
void RdmaRail::SayGoodbye() {
  std::vector<size_t> known;
  driving_.Take();
  for (size_t i = 0; i < lanes_.size(); ++i) {
    if (std::exchange(lanes_[i].known_to_peer, false)) known.push_back(i);
  }
  driving_.Pass();
  Drive();
  const auto self = weak_from_this().lock();
  if (known.empty() || self == nullptr) return;
  services_.farewells.Schedule(RealClock().Now(), [self, known] {
    for (const size_t lane : known) {
      self->Exchange(lane, std::nullopt, In(kFarewell)).IgnoreError();
    }
  });
}

// Returns whether there is still one that gives back its work.
bool RdmaRail::RetireLanes(MonotonicTime deadline) {
  bool open = false;
  for (Lane& lane : lanes_) {
    lane.endpoint->Poll();
    const MonotonicTime now = RealClock().Now();
    driving_.Take();
    if (Flushed(lane, now) ||
        (lane.state == State::kBroken && now >= deadline)) {
      lane.held.Append(lane.endpoint->Retire());
      CloseLane(lane);
    }
    open |= lane.state == State::kBroken;
    SliceList held = std::move(lane.held);
    driving_.Pass();
    FinishAll(std::move(held), health());
  }
  return open;
}

}  // namespace te::rdma
