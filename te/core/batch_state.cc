#include "te/core/batch_state.h"

#include <sched.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "glog/logging.h"

namespace te {
namespace {

// How often a waiter looks whether the thread that drives the rail has gone.
constexpr int kBusyRounds = 8;

}  // namespace

void BatchState::Reset(Host& host, uint64_t handle, size_t requests,
                       uint32_t max_slice_attempts, MonotonicTime deadline) {
  host_ = &host;
  handle_ = handle;
  max_slice_attempts_ = max_slice_attempts;
  deadline_ = deadline;
  notification_.reset();
  on_finished_ = nullptr;
  event_fd_ = -1;
  size_ = requests;
  if (requests > capacity_) {
    requests_ = std::make_unique<RequestState[]>(requests);
    runs_ = std::make_unique<Run[]>(requests);
    capacity_ = requests;
  }
  for (RequestState& request : absl::MakeSpan(requests_.get(), requests)) {
    request.run = nullptr;
    Set<uint64_t>(request.bytes, 0);
    Set(request.finished, false);
    Set(request.failed, false);
    request.status = absl::OkStatus();
  }
  run_count_ = 0;
  slices_.clear();
  peers_.clear();
  // One more than there are: Launch's own, so that the batch cannot finish
  // before all of it has been posted.
  Set(unfinished_requests_, requests + 1);
  for (std::atomic<bool>* const flag :
       {&failed_, &finished_, &settled_, &aborted_, &cancelled_,
        &awaiting_notification_}) {
    Set(*flag, false);
  }
}

void BatchState::set_options(const SubmitOptions& options) {
  notification_ = options.notification;
  on_finished_ = options.on_finished;
  event_fd_ = options.event_fd;
}

BatchState::Run& BatchState::BeginRun(BufferRegistry::LocalPin pin, size_t peer,
                                      const BufferDescriptor& remote) {
  Run& run = runs_[run_count_++];
  run.buffer = pin.id();
  run.pin = std::move(pin);
  run.peer = peer;
  run.remote = &remote;
  run.path = route(peer).PathTo(remote);
  run.advice = route(peer).rails[run.path.transport].rail->slice_advice();
  run.slices = 0;
  Set<uint32_t>(run.unfinished_requests, 0);
  return run;
}

void BatchState::RejectRequest(size_t index, absl::Status why) {
  RequestState& request = requests_[index];
  Fail(request, std::move(why));
  request.finished = true;
  FinishRequest();
}

size_t BatchState::AddPeer(SegmentId segment, std::shared_ptr<Peer> peer,
                           std::shared_ptr<const Route> route) {
  peers_.push_back(
      {.segment = segment, .peer = std::move(peer), .route = std::move(route)});
  return peers_.size() - 1;
}

std::optional<size_t> BatchState::FindPeer(SegmentId segment) const {
  // From the back: consecutive requests mostly have the same one.
  for (size_t i = peers_.size(); i > 0; --i) {
    if (peers_[i - 1].segment == segment) return i - 1;
  }
  return std::nullopt;
}

void BatchState::Launch() {
  references_ = 2;
  group_.resize(slices_.size());
  for (size_t peer = 0; peer < peers_.size(); ++peer) {
    size_t count = 0;
    Slice* next = slices_.data();
    for (const Run& run : absl::MakeConstSpan(runs_.get(), run_count_)) {
      Slice* const begin = std::exchange(next, next + run.slices);
      if (run.peer != peer) continue;
      for (Slice* slice = begin; slice != next; ++slice) {
        group_[count++] = slice;
      }
    }
    if (count == 0) continue;
    peers_[peer].route->rail->Post(absl::MakeSpan(group_).first(count));
  }
  FinishRequest();
}

void BatchState::Done(Slice& slice, absl::Status status) {
  if (!status.ok()) return OnFailure(slice, std::move(status));
  RequestState& request = requests_[slice.request];
  request.bytes += slice.length;
  FinishSlice(request);
}

void BatchState::OnFailure(Slice& slice, absl::Status status) {
  RequestState& request = requests_[slice.request];
  const PeerUse& use = peers_[request.run->peer];
  const bool may_retry = MayRetry(slice, status);
  if (may_retry && !aborted_ && !cancelled_) {
    // A rail that was cut for somebody else's sake is not this slice's failure.
    if (!absl::IsAborted(status)) ++slice.attempts;
    return use.peer->Retry(slice, *request.run->remote, *use.route, status);
  }
  // The peer has unregistered the buffer since it was looked up.
  if (absl::IsNotFound(status)) use.peer->RefreshSoon();
  if (aborted_) {
    MutexLock lock(mutex_);
    status = abort_status_;
  } else if (may_retry) {
    status = absl::CancelledError(
        absl::StrCat("cancelled; before that, ", status.message()));
  }
  Fail(request, std::move(status));
  FinishSlice(request);
}

// Whether it would be sent again if the batch went on.
bool BatchState::MayRetry(const Slice& slice,
                          const absl::Status& status) const {
  if (slice.attempts == Peer::kGivenUp) return false;
  return absl::IsAborted(status) || (absl::IsUnavailable(status) &&
                                     slice.attempts + 1 < max_slice_attempts_);
}

void BatchState::Fail(RequestState& request, absl::Status status) {
  failed_ = true;
  if (!request.failed.exchange(true)) request.status = std::move(status);
}

void BatchState::FinishSlice(RequestState& request) {
  if (request.unfinished_slices.fetch_sub(1) != 1) return;
  Run& run = *request.run;
  if (run.unfinished_requests.fetch_sub(1) == 1) run.pin.Reset();
  request.finished = true;
  if (sleepers_ > 0) WakeSleepers();
  FinishRequest();
}

void BatchState::FinishRequest() {
  if (unfinished_requests_.fetch_sub(1) != 1) return;
  if (!notification_.has_value() || !status().ok()) return Finish();
  // The delivery's own reference: the deadline may finish the batch first.
  ++references_;
  awaiting_notification_ = true;
  host_->SendNotification(*this);
}

void BatchState::FinishNotification(absl::Status status) {
  if (!awaiting_notification_.exchange(false)) return;
  {
    MutexLock lock(mutex_);
    notification_status_ = std::move(status);
  }
  Finish();
}

void BatchState::Finish() {
  // The handle may be dropped as soon as finished_ is set: the reference of
  // what was under way goes last.
  const std::function<void()> on_finished = std::move(on_finished_);
  finished_ = true;
  if (event_fd_ >= 0) {
    const uint64_t one = 1;
    if (write(event_fd_, &one, sizeof(one)) < 0) {
      PLOG(ERROR) << "cannot signal the eventfd of a batch";
    }
  }
  if (on_finished) on_finished();
  settled_ = true;
  if (sleepers_ > 0) WakeSleepers();
  Unref();
}

void BatchState::WakeSleepers() {
  // The lock makes sure that a sleeper has either seen the change or sleeps.
  MutexLock lock(mutex_);
  changed_.NotifyAll();
}

bool BatchState::Wait(absl::FunctionRef<bool()> done, MonotonicTime deadline) {
  if (done()) return true;
  MonotonicTime last_progress;
  const Look look = Poll(done, deadline, last_progress);
  if (look == Look::kDone) return true;
  if (!Sleep(done, deadline)) return false;
  if (look == Look::kInVain) {
    const Duration pause = RealClock().Now() - last_progress;
    for (const PeerUse& use : peers_) use.peer->spin_time().Learn(pause);
  }
  return true;
}

bool BatchState::Sleep(absl::FunctionRef<bool()> done, MonotonicTime deadline) {
  ++sleepers_;
  bool result = false;
  {
    MutexLock lock(mutex_);
    while (!(result = done())) {
      if (!changed_.WaitUntil(mutex_, deadline)) {
        result = done();
        break;
      }
    }
  }
  --sleepers_;
  return result;
}

// The longest time of those that the peers' answers are worth.
Duration BatchState::spin_time() const {
  Duration longest{};
  for (const PeerUse& use : peers_) {
    longest = std::max(longest, use.peer->spin_time().get());
  }
  return longest;
}

BatchState::Look BatchState::Poll(absl::FunctionRef<bool()> done,
                                  MonotonicTime deadline,
                                  MonotonicTime& last_progress) {
  const Duration spin = spin_time();
  MonotonicTime now = RealClock().Now();
  if (spin == Duration::zero() || now >= deadline) return Look::kLeft;
  last_progress = now;
  for (const PeerUse& use : peers_) use.route->rail->BeginPolling();
  int busy_rounds = 0;
  Look look = Look::kDone;
  while (look == Look::kDone && !done()) {
    bool busy = false;
    const bool moved = PollRails(busy);
    now = RealClock().Now();
    if (moved) last_progress = now;
    busy_rounds = busy && !moved ? busy_rounds + 1 : 0;
    if (now - last_progress >= spin) {
      look = Look::kInVain;
    } else if (now >= deadline || busy_rounds > kBusyRounds) {
      look = Look::kLeft;
    } else if (!moved) {
      sched_yield();
    }
  }
  for (const PeerUse& use : peers_) use.route->rail->EndPolling();
  return look;
}

// `busy`: other threads drive all the rails.
bool BatchState::PollRails(bool& busy) {
  bool moved = false;
  busy = true;
  for (const PeerUse& use : peers_) {
    const Progress progress = use.route->rail->Poll();
    moved |= progress == Progress::kMoved;
    busy &= progress == Progress::kBusy;
  }
  return moved;
}

RequestResult BatchState::result(size_t index) const {
  const RequestState& request = requests_[index];
  if (!request.finished) {
    return {.status = absl::UnavailableError("the request has not ended yet"),
            .bytes = request.bytes,
            .local_reusable = false};
  }
  return {
      .status = request.status, .bytes = request.bytes, .local_reusable = true};
}

absl::Status BatchState::status() const {
  if (!failed_) return absl::OkStatus();
  for (size_t i = 0; i < size_; ++i) {
    if (requests_[i].finished && requests_[i].failed) {
      return requests_[i].status;
    }
  }
  return absl::OkStatus();
}

absl::Status BatchState::notification_status() const {
  MutexLock lock(mutex_);
  return notification_status_;
}

void BatchState::Cancel() {
  cancelled_ = true;
  for (const PeerUse& use : peers_) {
    use.peer->Withdraw([this](const Slice& s) { return s.owner == this; },
                       absl::CancelledError("cancelled before it was sent"));
  }
}

void BatchState::Abort(const absl::Status& why) {
  {
    MutexLock lock(mutex_);
    if (abort_status_.ok()) abort_status_ = why;
    aborted_ = true;
  }
  const auto mine = [this](const Slice& s) { return s.owner == this; };
  const absl::Status cut = absl::AbortedError(
      absl::StrCat("the connection was cut to end a request as ",
                   absl::StatusCodeToString(why.code())));
  for (size_t i = 0; i < peers_.size(); ++i) {
    const PeerUse& use = peers_[i];
    if (UsesPeer(i)) use.peer->Withdraw(mine, why);
    if (!UsesPeer(i)) continue;
    use.peer->CutOff(cut);
    // It may have been replaced, with something still on its way back.
    use.route->rail->Close(cut);
  }
  FinishNotification(why);
}

bool BatchState::UsesPeer(size_t peer) const {
  for (const Run& run : absl::MakeConstSpan(runs_.get(), run_count_)) {
    if (run.peer == peer && run.unfinished_requests > 0) return true;
  }
  return false;
}

absl::Status BatchState::DeadlineError() const {
  std::string where;
  for (const PeerUse& use : peers_) {
    absl::StrAppend(&where, where.empty() ? "" : ", ", use.peer->name());
    const absl::Status error = use.peer->last_error();
    if (!error.ok()) absl::StrAppend(&where, " (", error.message(), ")");
  }
  return absl::DeadlineExceededError(absl::StrCat(
      "not all data were acknowledged in time by ", where,
      "; the peer may be stopped, cut off or overloaded, or the timeout too "
      "short for the amount of data"));
}

bool BatchState::Uses(BufferId buffer) const {
  for (const Run& run : absl::MakeConstSpan(runs_.get(), run_count_)) {
    if (run.buffer == buffer && run.unfinished_requests > 0) return true;
  }
  return false;
}

uint64_t BatchState::Vacate(size_t kept) {
  // Those of a batch that was not launched.
  for (size_t i = 0; i < run_count_; ++i) runs_[i].pin.Reset();
  size_ = 0;
  run_count_ = 0;
  slices_.clear();
  peers_.clear();
  if (aborted_ || notification_.has_value()) {
    MutexLock lock(mutex_);
    abort_status_ = absl::OkStatus();
    notification_status_ = absl::OkStatus();
  }
  notification_.reset();
  on_finished_ = nullptr;
  if (slices_.capacity() > kept) {
    std::vector<Slice>().swap(slices_);
    std::vector<Slice*>().swap(group_);
  }
  if (capacity_ > kept) {
    requests_.reset();
    runs_.reset();
    capacity_ = 0;
  }
  return handle_;
}

bool BatchState::TryRef() {
  uint32_t references = references_;
  do {
    if (references == 0) return false;
  } while (!references_.compare_exchange_weak(references, references + 1));
  return true;
}

void BatchState::Unref() {
  if (references_.fetch_sub(1) == 1) host_->Recycle(*this);
}

}  // namespace te
