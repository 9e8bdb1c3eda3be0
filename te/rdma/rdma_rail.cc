// A rail, and what becomes of its connections.

#include "te/rdma/rdma_rail.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "glog/logging.h"
#include "te/rdma/device.h"

namespace te::rdma {
namespace {

using std::chrono::milliseconds;

constexpr Duration kFirstPause = milliseconds(10);
constexpr Duration kLongestPause = std::chrono::seconds(1);
// Between two attempts to open a further lane where all endpoints are in use:
// after that an idle one would give way (EndpointStore::Need).
constexpr Duration kSparePause = std::chrono::seconds(1);

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

}  // namespace

RdmaRail::RdmaRail(const Parts& parts, NicUnit& nic, size_t local, size_t index)
    : session_(parts.session),
      peer_(parts.peer),
      options_(parts.options),
      matrix_(parts.matrix),
      index_(index),
      device_(nic.device->name()),
      endpoint_(nic, local, parts.memory, parts.options, *this) {
  UpdateLinkRate();
}

void RdmaRail::SetRemoteNics(size_t count) {
  key_bytes_ = count * kRemoteKeyBytes;
}

// Of a port that is down nothing is known; mostly it comes back as it was.
void RdmaRail::UpdateLinkRate() {
  constexpr double kBytesPerGigabit = 1e9 / 8;
  const Device& device = *endpoint_.nic().device;
  if (!device.usable()) return;
  link_rate_ =
      static_cast<uint64_t>(device.port().nic.rate_gbps * kBytesPerGigabit);
}

// The transport, and so the NIC, may be gone if it has failed.
te::Rail::State RdmaRail::state() const {
  if (failed_) return State::kDown;
  const Phase phase = phase_;
  if (phase == Phase::kOpen && endpoint_.usable()) {
    return endpoint_.proven() ? State::kReady : State::kPreparing;
  }
  if (!NicIsUsable()) return State::kDown;
  if (phase == Phase::kClosed) {
    return CanOpen(RealClock().Now()) ? State::kIdle : State::kDown;
  }
  // One that is broken will mostly work again. One that is evicted is closed
  // first, and then opened again if it is wanted.
  const bool evicted =
      phase == Phase::kOpen && endpoint_.evicted() && !endpoint_.broken();
  return evicted && !wanted_ ? State::kIdle : State::kPreparing;
}

void RdmaRail::Prepare() {
  if (state() != State::kIdle) return;
  wanted_ = true;
  look_again_ = true;
  Drive();
}

bool RdmaRail::CanOpen(MonotonicTime now) const {
  return phase_ == Phase::kClosed && now >= retry_at_.load() && NicIsUsable() &&
         (now >= retry_as_spare_at_.load() ||
          !session_.HasReadyRailBeside(*this));
}

bool RdmaRail::IsNear(MemoryLocation location) const {
  if (failed_) return false;
  const auto near = matrix_.Find(location).preferred();
  return near.empty() || std::find(near.begin(), near.end(),
                                   endpoint_.nic().matrix_index) != near.end();
}

absl::Status RdmaRail::health() const {
  MutexLock lock(mutex_);
  return health_;
}

absl::Status RdmaRail::why_down() const {
  // First, as in state().
  if (failed_) return health();
  const absl::Status device = endpoint_.nic().device->health();
  if (!device.ok()) return device;
  MutexLock lock(mutex_);
  return last_error_;
}

void RdmaRail::SetLastError(const absl::Status& why) {
  MutexLock lock(mutex_);
  last_error_ = why;
}

std::string RdmaRail::name() const {
  return absl::StrCat("rdma to ", peer_, ": ",
                      endpoint_.broken()
                          ? absl::StrCat(device_, ", not connected")
                          : endpoint_.Describe());
}

// --- Their beginning. ---

void RdmaRail::Install(std::unique_ptr<Connection>& connection) {
  driving_.Take();
  if (failed_) {
    phase_ = Phase::kClosed;
  } else {
    opened_at_ = last_use_ = last_completion_ = RealClock().Now();
    wanted_ = false;
    endpoint_.Install(std::move(connection));
    // Who finds it open finds the endpoint as it is now.
    phase_ = Phase::kOpen;
    probed_ = true;
    endpoint_.Probe();
  }
  driving_.Pass();
  Drive();
}

void RdmaRail::OpeningFailed(const absl::Status& why, bool lacks_place) {
  driving_.Take();
  phase_ = Phase::kClosed;
  wanted_ = false;
  SetLastError(why);
  if (lacks_place) {
    retry_as_spare_at_ = In(kSparePause);
  } else {
    // The next attempt would fail likewise.
    failures_ = std::max(failures_, 1);
    CountFailure();
  }
  SliceList unsent = TakeUnsent();
  driving_.Pass();
  FinishAll(std::move(unsent), failed_
                                   ? health()
                                   : absl::UnavailableError(absl::StrCat(
                                         "no RDMA path from ", device_, " to ",
                                         peer_, ": ", why.message())));
  Drive();
}

// Handshakes go by another way.
absl::Status RdmaRail::AwaitProof(MonotonicTime deadline) {
  deadline = std::min(deadline, In(ProofTime(options_)));
  // Before the looks at the endpoint: who changes it looks the other way round.
  awaiting_proof_ = true;
  {
    MutexLock lock(mutex_);
    while (!endpoint_.proven() && !endpoint_.broken() &&
           changed_.WaitUntil(mutex_, deadline)) {
    }
  }
  awaiting_proof_ = false;
  if (endpoint_.proven()) return absl::OkStatus();
  const absl::Status why = Unproven();
  driving_.Take();
  endpoint_.Break(why);
  driving_.Pass();
  // Whoever else breaks it may not have said why yet.
  const absl::Status failure = endpoint_.failure();
  return failure.ok() ? why : failure;
}

absl::Status RdmaRail::Unproven() const {
  return absl::UnavailableError(absl::StrCat(
      endpoint_.Describe(),
      ": the peer's NIC has not answered in time to a first packet. Are both "
      "in one network? If not, choose at both ends those that are "
      "(--device_name)"));
}

void RdmaRail::TellWhoAwaitsProof() {
  if (!awaiting_proof_) return;
  MutexLock lock(mutex_);
  changed_.NotifyAll();
}

// --- Their end. ---

void RdmaRail::OnBroken(Endpoint& endpoint) {
  // That of a rail that is closed needs no mention.
  LOG_IF(WARNING, !failed_)
      << "rdma to " << peer_ << ": " << endpoint.failure();
  TellWhoAwaitsProof();
  session_.OnBroken(*this);
}

void RdmaRail::OnEvicted(Endpoint& /*endpoint*/) { session_.OnEvicted(*this); }

// Whether a broken connection has nothing under way any more, or may not have.
// When it has just been found broken, `unsent` gets what waits for it: other
// rails may do better. If but a request was to blame, that waits for the next
// connection.
bool RdmaRail::Flush(MonotonicTime now, SliceList& unsent) {
  if (phase_ == Phase::kOpen && endpoint_.broken()) {
    phase_ = Phase::kBroken;
    flush_deadline_ = DeadlineAfter(now, options_.flush_timeout);
    if (!absl::IsAborted(endpoint_.failure())) unsent.Append(TakeUnsent());
  }
  return phase_ == Phase::kBroken &&
         (endpoint_.quiet() || now >= flush_deadline_);
}

Endpoint::Remains RdmaRail::Retire() {
  ++unfinished_;
  Endpoint::Remains remains = endpoint_.Retire();
  held_.Append(std::move(remains.unknown));
  phase_ = Phase::kRetired;
  return remains;
}

// Once the baton has been passed.
void RdmaRail::Conclude(Endpoint::Remains remains) {
  endpoint_.Conclude(std::move(remains));
  --unfinished_;
}

absl::Status RdmaRail::WhyEnded() const {
  if (failed_) return health();
  const absl::Status broken = endpoint_.failure();
  return broken.ok() ? absl::AbortedError("its endpoint was closed") : broken;
}

RdmaRail::Ending RdmaRail::EndBroken() {
  endpoint_.Poll();
  const MonotonicTime now = RealClock().Now();
  SliceList unsent;
  driving_.Take();
  const bool flushed = Flush(now, unsent);
  std::optional<Endpoint::Remains> remains;
  if (flushed) remains.emplace(Retire());
  const bool under_way = phase_ == Phase::kBroken;
  driving_.Pass();
  if (remains) Conclude(*std::move(remains));
  FinishAll(std::move(unsent), WhyEnded());
  // Others may have come by meanwhile.
  Drive();
  if (flushed) return Ending::kDone;
  return under_way ? Ending::kUnderWay : Ending::kNone;
}

// If it breaks meanwhile, EndBroken does that.
RdmaRail::Ending RdmaRail::EndEvicted() {
  endpoint_.Poll();
  driving_.Take();
  const bool evicted =
      phase_ == Phase::kOpen && endpoint_.evicted() && !endpoint_.broken();
  const bool quiet = evicted && endpoint_.quiet();
  // Mostly that gives back nothing: something may have failed at the last
  // moment.
  std::optional<Endpoint::Remains> remains;
  if (quiet) remains.emplace(Retire());
  driving_.Pass();
  if (remains) Conclude(*std::move(remains));
  Drive();
  if (quiet) return Ending::kDone;
  return evicted ? Ending::kUnderWay : Ending::kNone;
}

void RdmaRail::Release() {
  const absl::Status why = WhyEnded();
  driving_.Take();
  SliceList held = std::move(held_);
  if (phase_ == Phase::kRetired) MarkClosed();
  driving_.Pass();
  FinishAll(std::move(held), why);
  // What waits for a connection has another one made.
  Drive();
}

void RdmaRail::MarkClosed() {
  phase_ = Phase::kClosed;
  const absl::Status failure = endpoint_.failure();
  if (endpoint_.has_carried() || failure.ok()) failures_ = 0;
  if (!failure.ok()) SetLastError(failure);
  CountFailure();
}

void RdmaRail::CountFailure() { retry_at_ = In(PauseAfter(++failures_)); }

void RdmaRail::Fail(const absl::Status& why) {
  {
    MutexLock lock(mutex_);
    if (health_.ok()) health_ = why;
    failed_ = true;
  }
  driving_.Take();
  if (phase_ == Phase::kOpen) endpoint_.Break(why);
  driving_.Pass();
  Drive();
}

bool RdmaRail::EndFailed(MonotonicTime deadline) {
  endpoint_.Poll();
  const MonotonicTime now = RealClock().Now();
  SliceList ended;
  driving_.Take();
  const bool over =
      Flush(now, ended) || (phase_ == Phase::kBroken && now >= deadline);
  std::optional<Endpoint::Remains> remains;
  if (over) remains.emplace(Retire());
  ended.Append(std::move(held_));
  if (phase_ == Phase::kRetired) MarkClosed();
  const bool under_way = phase_ == Phase::kBroken;
  driving_.Pass();
  if (remains) Conclude(*std::move(remains));
  FinishAll(std::move(ended), health());
  Drive();
  return under_way || has_unfinished();
}

void RdmaRail::OnDeviceChange() {
  const absl::Status health = endpoint_.nic().device->health();
  UpdateLinkRate();
  driving_.Take();
  if (!health.ok() && phase_ == Phase::kOpen) endpoint_.Break(health);
  failures_ = 0;
  retry_at_ = MonotonicTime();
  driving_.Pass();
  Drive();
}

void RdmaRail::Sweep(MonotonicTime now) {
  // What has completed unseen is not late. Before the baton is taken: whoever
  // hears of it may want to withdraw something.
  endpoint_.Poll();
  driving_.Take();
  SweepConnection(now);
  driving_.Pass();
  Drive();
}

void RdmaRail::SweepConnection(MonotonicTime now) {
  if (phase_ != Phase::kOpen) return;
  endpoint_.CheckProgress(now);
  if (!endpoint_.usable()) return;
  if (!endpoint_.proven() && now - opened_at_ >= ProofTime(options_)) {
    return endpoint_.Break(Unproven());
  }
  const uint64_t completed = endpoint_.completed();
  if (completed != std::exchange(completed_, completed)) {
    last_completion_ = now;
    if (!std::exchange(probed_, false)) last_use_ = now;
  }
  if (!endpoint_.quiet()) return;
  if (now - last_use_ >= options_.idle_timeout) {
    endpoint_.Evict();
  } else if (now - last_completion_ >= options_.keepalive) {
    probed_ = true;
    endpoint_.Probe();
  }
}

}  // namespace te::rdma
