// A rail, and how its connections end.

#include "te/rdma/rdma_rail.h"

#include <sched.h>

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "glog/logging.h"

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

}  // namespace

MonotonicTime RdmaRail::In(Duration time) {
  return DeadlineAfter(RealClock().Now(), time);
}

RdmaRail::~RdmaRail() {
  // The transport may be gone if it is.
  if (!closed_) Close(absl::CancelledError("the rail is gone"));
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

void RdmaRail::CountFailure(Lane& lane) {
  lane.retry_at = In(PauseAfter(++lane.failures));
}

void RdmaRail::CloseLane(Lane& lane) {
  if (lane.state == State::kClosed) return;
  lane.state = State::kClosed;
  if (lane.endpoint->has_carried() || lane.endpoint->failure().ok()) {
    lane.failures = 0;
  }
  CountFailure(lane);
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
