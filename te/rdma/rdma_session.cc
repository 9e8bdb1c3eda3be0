// A session, and how its connections end.

#include "te/rdma/rdma_session.h"

#include <sched.h>

#include <chrono>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"

namespace te::rdma {
namespace {

// Between two looks at a connection that is giving back its work.
constexpr Duration kFlushPause = std::chrono::milliseconds(1);
constexpr Duration kFarewell = std::chrono::seconds(1);

}  // namespace

MonotonicTime RdmaSession::In(Duration time) {
  return DeadlineAfter(RealClock().Now(), time);
}

RdmaSession::~RdmaSession() {
  // The transport may be gone if it is.
  if (!closed_) Close(absl::CancelledError("the rail is gone"));
}

Rails RdmaSession::rails() {
  Rails rails;
  for (const auto& rail : rails_) {
    rails.push_back(std::shared_ptr<te::Rail>(shared_from_this(), rail.get()));
  }
  return rails;
}

// Not from the destructor, when nobody can share the session any more: what
// Close does there needs no task.
void RdmaSession::Schedule(TaskQueue& queue, Duration pause,
                           void (RdmaSession::*task)(RdmaRail&),
                           RdmaRail& rail) {
  auto self = weak_from_this().lock();
  if (self == nullptr) return;
  queue.Schedule(In(pause), [self = std::move(self), task, &rail] {
    ((*self).*task)(rail);
  });
}

void RdmaSession::OnBroken(RdmaRail& rail) {
  Schedule(services_.local_tasks, {}, &RdmaSession::Recover, rail);
}

void RdmaSession::OnEvicted(RdmaRail& rail) {
  Schedule(services_.local_tasks, {}, &RdmaSession::Drain, rail);
}

// A task: ends a broken connection here.
void RdmaSession::Recover(RdmaRail& rail) {
  switch (rail.EndBroken()) {
    case RdmaRail::Ending::kNone:
      // Close has done it.
      return;
    case RdmaRail::Ending::kUnderWay:
      return Schedule(services_.local_tasks, kFlushPause, &RdmaSession::Recover,
                      rail);
    case RdmaRail::Ending::kDone:
      return Schedule(services_.handshakes, {}, &RdmaSession::TellPeer, rail);
  }
}

// A task: ends a connection that nobody wants any more, once nothing is under
// way on it.
void RdmaSession::Drain(RdmaRail& rail) {
  switch (rail.EndEvicted()) {
    case RdmaRail::Ending::kNone:
      return;
    case RdmaRail::Ending::kUnderWay:
      return Schedule(services_.local_tasks, kFlushPause, &RdmaSession::Drain,
                      rail);
    case RdmaRail::Ending::kDone:
      return Schedule(services_.handshakes, {}, &RdmaSession::TellPeer, rail);
  }
}

// A task: has the peer end its side of a connection that has ended here, and
// gives back what was on it. What was sent may arrive until then.
void RdmaSession::TellPeer(RdmaRail& rail) {
  // Of a session that has failed nobody is told any more; then Fail, which may
  // still be under way, has to come first: other rails must not take over.
  const absl::Status told =
      failed_ ? health()
              : Exchange(rail, std::nullopt,
                         In(services_.options.handshake_timeout))
                    .status();
  if (!told.ok()) {
    const absl::Status broken = rail.endpoint().failure();
    // Then whoever connects anew makes sure of that.
    Fail(absl::UnavailableError(absl::StrCat(
        broken.ok() ? "an endpoint was closed" : broken.message(),
        "; besides, the peer cannot be told so: ", told.message())));
  }
  rail.Release();
}

absl::Status RdmaSession::health() const {
  MutexLock lock(mutex_);
  return health_;
}

void RdmaSession::Fail(const absl::Status& why) {
  absl::Status first;
  {
    MutexLock lock(mutex_);
    if (health_.ok()) health_ = why;
    first = health_;
    failed_ = true;
  }
  for (const auto& rail : rails_) rail->Fail(first);
}

void RdmaSession::OnDeviceChange(const NicUnit& nic) {
  for (const auto& rail : rails_) {
    if (&rail->endpoint().nic() == &nic) rail->OnDeviceChange();
  }
}

void RdmaSession::Sweep(MonotonicTime now) {
  for (const auto& rail : rails_) rail->Sweep(now);
}

void RdmaSession::Close(const absl::Status& why) {
  if (closed_) {
    // The transport may be gone. What is posted all the same comes back by
    // itself.
    for (const auto& rail : rails_) {
      while (rail->has_unfinished()) sched_yield();
    }
    return;
  }
  Fail(why);
  const MonotonicTime deadline = In(services_.options.flush_timeout);
  bool under_way = false;
  do {
    under_way = false;
    for (const auto& rail : rails_) under_way |= rail->EndFailed(deadline);
    if (under_way) sched_yield();
  } while (under_way);
  SayGoodbye();
  closed_ = true;
}

// So that the peer need not find out by itself that nobody uses its queue pairs
// any more.
void RdmaSession::SayGoodbye() {
  std::vector<RdmaRail*> known;
  for (const auto& rail : rails_) {
    if (rail->TakeKnownToPeer()) known.push_back(rail.get());
  }
  const auto self = weak_from_this().lock();
  if (known.empty() || self == nullptr) return;
  services_.farewells.Schedule(RealClock().Now(), [self, known] {
    for (const RdmaRail* rail : known) {
      self->Exchange(*rail, std::nullopt, In(kFarewell)).IgnoreError();
    }
  });
}

}  // namespace te::rdma
