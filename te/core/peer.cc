#include "te/core/peer.h"

#include <algorithm>
#include <chrono>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "glog/logging.h"
#include "te/base/stale_peer.h"
#include "te/base/status_macros.h"
#include "te/core/rail_set.h"
#include "te/core/split_rail.h"

namespace te {
namespace {

constexpr Duration kFirstPause = std::chrono::milliseconds(10);
constexpr Duration kLongestPause = std::chrono::seconds(1);
// Between the news of a change and its look-up: many changes in a row are one.
constexpr Duration kRefreshPause = std::chrono::milliseconds(20);

Duration PauseAfter(int failures) {
  if (failures == 0) return Duration::zero();
  return std::min(kFirstPause * (1 << std::min(failures - 1, 10)),
                  kLongestPause);
}

// Whether it is the same incarnation, in a state that is as new or newer.
bool IsNewer(const SegmentView& view, const SegmentView& than) {
  return view.descriptor()->incarnation == than.descriptor()->incarnation &&
         view.descriptor()->version >= than.descriptor()->version;
}

// The owner must not send it here again.
void GiveBackForGood(Slice& slice, const absl::Status& status) {
  slice.attempts = Peer::kGivenUp;
  slice.owner->Done(slice, status);
}

// It may have been meant for another route to the same buffer.
void Aim(Slice& slice, const BufferDescriptor& remote, const Route& route) {
  const Route::Path path = route.PathTo(remote);
  slice.transport = path.transport;
  slice.remote_key = path.key;
}

// Of a transport.
std::shared_ptr<Rail> Join(Rails rails, const PeerServices& services) {
  if (rails.size() == 1 && !rails.front()->is_link()) return rails.front();
  return std::make_shared<RailSet>(std::move(rails),
                                   services.options.scheduling,
                                   services.short_traffic, services.timers);
}

std::shared_ptr<Rail> Joined(const std::vector<NamedRail>& rails) {
  if (rails.size() == 1) return rails.front().rail;
  Rails all;
  for (const NamedRail& each : rails) all.push_back(each.rail);
  return std::make_shared<SplitRail>(std::move(all));
}

}  // namespace

Route::Path Route::PathTo(const BufferDescriptor& buffer) const {
  Path path;
  for (size_t i = 0; i < rails.size(); ++i) {
    path = {.transport = static_cast<uint8_t>(i),
            .key = buffer.keys.Find(rails[i].transport)};
    if (i + 1 == rails.size() || rails[i].rail->Reaches(path.key)) break;
  }
  return path;
}

Peer::Peer(std::string name, std::shared_ptr<RailHistory> rails,
           const PeerServices& services)
    : name_(std::move(name)),
      services_(services),
      rails_(std::move(rails)),
      spin_time_(services.options.spin, services.options.max_spin) {}

absl::Status Peer::AwaitTurn(MonotonicTime deadline) {
  MutexLock lock(mutex_);
  while (connecting_) {
    if (!turn_ended_.WaitUntil(mutex_, deadline) && connecting_) {
      return absl::DeadlineExceededError(absl::StrCat(
          "somebody else is still trying to connect to segment ", name_));
    }
  }
  connecting_ = true;
  return absl::OkStatus();
}

void Peer::EndTurn() {
  MutexLock lock(mutex_);
  connecting_ = false;
  turn_ended_.NotifyAll();
}

absl::Status Peer::Open(MonotonicTime deadline) {
  // Mostly so, and then nobody has to take turns.
  if (health().ok()) return absl::OkStatus();
  TE_RETURN_IF_ERROR(AwaitTurn(deadline));
  const absl::Cleanup end = [this] { EndTurn(); };
  if (health().ok()) return absl::OkStatus();
  return OpenFresh(deadline);
}

absl::Status Peer::Refresh(MonotonicTime deadline) {
  TE_RETURN_IF_ERROR(AwaitTurn(deadline));
  const absl::Cleanup end = [this] { EndTurn(); };
  const auto route = current();
  if (route == nullptr) return OpenFresh(deadline);
  TE_ASSIGN_OR_RETURN(std::shared_ptr<const SegmentDescriptor> descriptor,
                      services_.directory.Refresh(name_, deadline));
  if (descriptor->incarnation != route->view->descriptor()->incarnation) {
    return Connect(std::move(descriptor), deadline);
  }
  Update(std::move(descriptor));
  return absl::OkStatus();
}

absl::Status Peer::OpenFresh(MonotonicTime deadline) {
  TE_ASSIGN_OR_RETURN(const std::shared_ptr<const SegmentDescriptor> known,
                      services_.directory.Lookup(name_, deadline));
  const absl::Status status = Connect(known, deadline);
  if (status.ok()) return status;
  // It may have been the cache's, of an engine that has restarted or moved a
  // moment ago, or that did so between the look-up and the handshake.
  absl::StatusOr<std::shared_ptr<const SegmentDescriptor>> now =
      services_.directory.Refresh(name_, deadline);
  if (!now.ok()) return IsStalePeer(status) ? now.status() : status;
  if ((*now)->incarnation == known->incarnation &&
      (*now)->control_addresses == known->control_addresses) {
    return status;
  }
  return Connect(*std::move(now), deadline);
}

void Peer::Update(std::shared_ptr<const SegmentDescriptor> descriptor) {
  const auto before = current();
  // Looks at every buffer, so not under the lock.
  const auto view = std::make_shared<const SegmentView>(
      std::move(descriptor), before == nullptr ? nullptr : before->view.get());
  MutexLock lock(mutex_);
  // A successor is connected to by Open alone: requests for this one are not
  // meant for it.
  if (route_ == nullptr || !IsNewer(*view, *route_->view)) return;
  auto updated = std::make_shared<Route>(*route_);
  updated->view = view;
  route_ = std::move(updated);
}

void Peer::RefreshSoon() {
  MutexLock lock(mutex_);
  failed_refreshes_ = 0;
  if (!refresh_due_ && !closed_) ScheduleRefresh(kRefreshPause);
}

void Peer::ScheduleRefresh(Duration pause) {
  refresh_due_ = true;
  services_.lookups.Schedule(
      DeadlineAfter(RealClock().Now(), pause),
      [self = shared_from_this()] { self->FollowChanges(); });
}

void Peer::FollowChanges() {
  {
    MutexLock lock(mutex_);
    // What changes from here on is news again.
    refresh_due_ = false;
    // While it is connected to for the first time, by somebody who may have
    // looked before the change.
    refresh_waits_ = route_ == nullptr;
    if (closed_ || refresh_waits_) return;
  }
  absl::StatusOr<std::shared_ptr<const SegmentDescriptor>> now =
      services_.directory.Refresh(
          name_,
          DeadlineAfter(RealClock().Now(), services_.options.connect_timeout));
  const bool failed = !now.ok() && !absl::IsNotFound(now.status());
  if (now.ok()) Update(*std::move(now));
  MutexLock lock(mutex_);
  failed_refreshes_ = failed ? failed_refreshes_ + 1 : 0;
  if (failed && !refresh_due_ && !closed_ &&
      failed_refreshes_ < services_.options.max_connect_attempts) {
    ScheduleRefresh(PauseAfter(failed_refreshes_));
  }
}

// Sets up rails in place of what there is.
absl::Status Peer::Connect(std::shared_ptr<const SegmentDescriptor> descriptor,
                           MonotonicTime deadline) {
  // The peer must not hear of the new rail while the old one still sends.
  CutOff(absl::AbortedError("the peer is being connected anew"));
  TE_ASSIGN_OR_RETURN(std::shared_ptr<ControlLink> link,
                      services_.make_link(*descriptor));
  TE_ASSIGN_OR_RETURN(
      FoundRails found,
      FindRails(
          services_.transports,
          [this](Rails rails) { return Join(std::move(rails), services_); },
          name_, *descriptor, *rails_, link, deadline));
  auto route = std::make_shared<Route>();
  route->view = std::make_shared<SegmentView>(std::move(descriptor));
  route->link = std::move(link);
  route->rails = std::move(found.rails);
  route->rail = Joined(route->rails);
  route->passed_over = std::move(found.passed_over);
  TellWorries(*route, absl::StrJoin(found.worries, "; "));
  return Install(std::move(route));
}

// Once for each peer, unless there are others; each is counted.
void Peer::TellWorries(const Route& route, const std::string& worries) {
  {
    MutexLock lock(mutex_);
    if (!worries.empty()) ++downgrades_;
    if (std::exchange(worries_, worries) == worries) return;
  }
  std::vector<std::string> transports;
  for (const NamedRail& rail : route.rails) {
    transports.push_back(rail.transport);
  }
  LOG_IF(WARNING, !worries.empty())
      << "segment " << name_ << " is reached over "
      << absl::StrJoin(transports, " and ")
      << ". What it is not reached over, or not all of it: " << worries;
}

uint64_t Peer::downgrades() const {
  MutexLock lock(mutex_);
  return downgrades_;
}

// What was parked for another incarnation must not reach this one, whose memory
// may look just the same.
absl::Status Peer::Install(std::shared_ptr<Route> route) {
  ParkedSlices stale;
  {
    MutexLock lock(mutex_);
    if (closed_) return refusal_;
    // Looked up while the rail was being set up.
    if (route_ != nullptr && IsNewer(*route_->view, *route->view)) {
      route->view = route_->view;
    }
    if (route_ != nullptr && route_->view->descriptor()->incarnation !=
                                 route->view->descriptor()->incarnation) {
      stale = std::exchange(parked_, {});
    }
    route_ = std::move(route);
    if (std::exchange(refresh_waits_, false) && !refresh_due_) {
      ScheduleRefresh(Duration::zero());
    }
    refusal_ = absl::OkStatus();
    failed_attempts_ = 0;
    last_error_ = absl::OkStatus();
  }
  for (const Parked& parked : stale) {
    GiveBackForGood(*parked.slice, StaleError());
  }
  return absl::OkStatus();
}

absl::Status Peer::StaleError() const {
  return StalePeerError(absl::StrCat(
      "the engine behind segment ", name_,
      " is not the one that the request was for; open the segment again"));
}

std::shared_ptr<const Route> Peer::current() const {
  MutexLock lock(mutex_);
  return route_;
}

absl::StatusOr<std::shared_ptr<const Route>> Peer::route() const {
  MutexLock lock(mutex_);
  if (!refusal_.ok()) return refusal_;
  if (route_ == nullptr) {
    return absl::UnavailableError(
        absl::StrCat("the segment ", name_, " is not connected"));
  }
  return route_;
}

absl::Status Peer::health() const {
  TE_ASSIGN_OR_RETURN(const std::shared_ptr<const Route> found, route());
  return found->rail->health();
}

absl::Status Peer::last_error() const {
  MutexLock lock(mutex_);
  return last_error_;
}

void Peer::Retry(Slice& slice, const BufferDescriptor& remote,
                 const Route& route, const absl::Status& why) {
  absl::Status refusal;
  std::shared_ptr<const Route> now;
  {
    MutexLock lock(mutex_);
    refusal = refusal_;
    if (refusal.ok() && route_->view->descriptor()->incarnation !=
                            route.view->descriptor()->incarnation) {
      refusal = StaleError();
    }
    if (refusal.ok()) {
      // One of several rails has failed, which the others make up for.
      if (route_->rail->health().ok()) {
        now = route_;
      } else {
        last_error_ = why;
        parked_.push_back({.slice = &slice, .remote = &remote});
        if (!reconnecting_) ScheduleReconnect();
        return;
      }
    }
  }
  if (now == nullptr) return GiveBackForGood(slice, refusal);
  Aim(slice, remote, *now);
  Slice* const again = &slice;
  now->rail->Post({&again, 1});
}

void Peer::ScheduleReconnect() {
  reconnecting_ = true;
  services_.tasks.Schedule(
      DeadlineAfter(RealClock().Now(), PauseAfter(failed_attempts_)),
      [self = shared_from_this()] { self->Reconnect(); });
}

void Peer::Reconnect() {
  std::shared_ptr<const Route> tried;
  const absl::Status status = RestoreRail(tried);
  if (status.ok()) return SendParked();
  const bool stale = IsStalePeer(status);
  bool replaced = false;
  {
    MutexLock lock(mutex_);
    // Somebody may have opened the peer afresh since then.
    replaced = tried != nullptr && route_ != tried;
    if (!replaced) {
      ++failed_attempts_;
      last_error_ = status;
      if (stale && refusal_.ok()) refusal_ = StaleError();
      if (!stale && !closed_ && !parked_.empty() &&
          failed_attempts_ < services_.options.max_connect_attempts) {
        return ScheduleReconnect();
      }
    }
  }
  if (replaced) return SendParked();
  FailParked(stale
                 ? status
                 : absl::UnavailableError(absl::StrCat(
                       "gave up after ", services_.options.max_connect_attempts,
                       " attempts: ", status.message())));
}

// Connects to the present route anew; `tried` says which one that was.
absl::Status Peer::RestoreRail(std::shared_ptr<const Route>& tried) {
  const MonotonicTime deadline =
      DeadlineAfter(RealClock().Now(), services_.options.connect_timeout);
  TE_RETURN_IF_ERROR(AwaitTurn(deadline));
  const absl::Cleanup end = [this] { EndTurn(); };
  TE_ASSIGN_OR_RETURN(tried, route());
  if (tried->rail->health().ok()) return absl::OkStatus();
  return Connect(tried->view->descriptor(), deadline);
}

Peer::ParkedSlices Peer::TakeParked() {
  reconnecting_ = false;
  return std::exchange(parked_, {});
}

void Peer::SendParked() {
  ParkedSlices parked;
  std::shared_ptr<const Route> route;
  {
    MutexLock lock(mutex_);
    parked = TakeParked();
    route = route_;
  }
  if (parked.empty()) return;
  std::vector<Slice*> slices;
  slices.reserve(parked.size());
  for (const auto& [slice, remote] : parked) {
    Aim(*slice, *remote, *route);
    slices.push_back(slice);
  }
  route->rail->Post(slices);
}

void Peer::FailParked(const absl::Status& status) {
  ParkedSlices slices;
  absl::Status why = status;
  {
    MutexLock lock(mutex_);
    slices = TakeParked();
    failed_attempts_ = 0;
    if (!refusal_.ok()) why = refusal_;
  }
  if (slices.empty()) return;
  LOG(WARNING) << "gave up " << slices.size() << " slices for segment " << name_
               << ": " << why;
  for (const Parked& parked : slices) GiveBackForGood(*parked.slice, why);
}

void Peer::Withdraw(absl::FunctionRef<bool(const Slice&)> matches,
                    const absl::Status& status) {
  ParkedSlices withdrawn;
  std::shared_ptr<const Route> route;
  {
    MutexLock lock(mutex_);
    const auto kept = std::stable_partition(
        parked_.begin(), parked_.end(),
        [&](const Parked& parked) { return !matches(*parked.slice); });
    withdrawn.assign(kept, parked_.end());
    parked_.erase(kept, parked_.end());
    route = route_;
  }
  for (const Parked& parked : withdrawn) GiveBackForGood(*parked.slice, status);
  if (route != nullptr) route->rail->Withdraw(matches, status);
}

void Peer::CutOff(const absl::Status& why) {
  if (const auto route = current(); route != nullptr) route->rail->Close(why);
}

void Peer::Close(const absl::Status& why) {
  {
    MutexLock lock(mutex_);
    closed_ = true;
    refusal_ = why;
  }
  CutOff(why);
  FailParked(why);
}

}  // namespace te
