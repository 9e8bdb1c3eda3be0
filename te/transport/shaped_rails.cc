#include "te/transport/shaped_rails.h"

#include <algorithm>
#include <chrono>
#include <optional>
#include <string>

#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "te/base/memory_location.h"

namespace te {
namespace {

using Outcome = RailControls::Fate::Outcome;
using State = Rail::State;

absl::Status Unavailable(absl::string_view why) {
  return absl::UnavailableError(absl::StrCat("shaped rail: ", why));
}

double Seconds(Duration duration) {
  return std::chrono::duration<double>(duration).count();
}

// Rounded up: what is due then is really due.
Duration FromSeconds(double seconds) {
  return std::chrono::duration_cast<Duration>(
             std::chrono::duration<double>(seconds)) +
         Duration(1);
}

class ShapedRail final : public Rail {
 public:
  ShapedRail(std::shared_ptr<ShapedRails> rails, size_t number)
      : rails_(std::move(rails)), number_(number) {}

  State state() const override { return rails_->state(number_); }
  void Prepare() override { rails_->Prepare(number_); }
  bool IsNear(MemoryLocation location) const override {
    return rails_->inner().IsNear(location);
  }
  void Post(absl::Span<Slice* const> slices) override {
    rails_->Post(number_, slices);
  }
  Progress Poll() override { return rails_->inner().Poll(); }
  void BeginPolling() override { rails_->inner().BeginPolling(); }
  void EndPolling() override { rails_->inner().EndPolling(); }
  void Withdraw(absl::FunctionRef<bool(const Slice&)> matches,
                const absl::Status& status) override {
    rails_->Withdraw(number_, matches, status);
  }
  void Close(const absl::Status& why) override { rails_->Close(why); }
  absl::Status health() const override { return rails_->health(); }
  std::string limits() const override { return rails_->inner().limits(); }
  bool Reaches(absl::string_view key) const override {
    return rails_->inner().Reaches(key);
  }
  std::string name() const override {
    return absl::StrCat(rails_->inner().name(), ", shaped ", number_);
  }

 private:
  const std::shared_ptr<ShapedRails> rails_;
  const size_t number_;
};

}  // namespace

ShapedRails::ShapedRails(Rails inner, std::shared_ptr<RailControls> controls,
                         std::function<void()> wake)
    : inner_(std::move(inner)),
      controls_(std::move(controls)),
      wake_(std::move(wake)),
      pipes_(controls_->options().rails) {
  const MonotonicTime now = RealClock().Now();
  bool one_is_ready = false;
  for (size_t i = 0; i < pipes_.size(); ++i) {
    Pipe& pipe = pipes_[i];
    pipe.sent_at = pipe.down_at = now;
    if (controls_->shape(i).IsDown(now)) {
      pipe.state = State::kDown;
    } else if (one_is_ready && controls_->options().idle_at_first) {
      pipe.state = State::kIdle;
    } else {
      one_is_ready = true;
    }
  }
}

ShapedRails::~ShapedRails() { Close(absl::CancelledError("the rail is gone")); }

Rails ShapedRails::MakeRails(const std::shared_ptr<ShapedRails>& self) {
  Rails rails;
  for (size_t i = 0; i < self->controls_->options().rails; ++i) {
    rails.push_back(std::make_shared<ShapedRail>(self, i));
  }
  return rails;
}

absl::Status ShapedRails::health() const {
  {
    MutexLock lock(mutex_);
    if (!closed_.ok()) return closed_;
  }
  return inner().health();
}

Rail::State ShapedRails::state(size_t rail) {
  if (!health().ok()) return State::kDown;
  MutexLock lock(mutex_);
  return Update(rail, RealClock().Now()).state;
}

void ShapedRails::Prepare(size_t rail) {
  {
    MutexLock lock(mutex_);
    const MonotonicTime now = RealClock().Now();
    Pipe& pipe = Update(rail, now);
    if (pipe.state != State::kIdle) return;
    pipe.state = State::kPreparing;
    pipe.ready_at = now + controls_->options().preparation_time;
  }
  wake_();
}

void ShapedRails::Post(size_t rail, absl::Span<Slice* const> slices) {
  if (slices.empty()) return;
  Returned refused;
  {
    MutexLock lock(mutex_);
    const MonotonicTime now = RealClock().Now();
    Pipe& pipe = Update(rail, now);
    unfinished_ += slices.size();
    for (Slice* slice : slices) {
      posted_[slice] = {.sink = slice->sink, .rail = rail};
      if (!closed_.ok()) {
        refused.emplace_back(slice, closed_);
      } else if (pipe.state == State::kDown) {
        pipe.events.emplace(now, Event{.slice = slice,
                                       .carry = false,
                                       .always = true,
                                       .status = Unavailable("it is down")});
      } else {
        pipe.queue.push_back(slice);
      }
    }
  }
  GiveBack(std::move(refused));
  Prepare(rail);
  wake_();
}

void ShapedRails::Withdraw(size_t rail,
                           absl::FunctionRef<bool(const Slice&)> matches,
                           const absl::Status& status) {
  Returned withdrawn;
  {
    MutexLock lock(mutex_);
    Pipe& pipe = pipes_[rail];
    const Slice* const first =
        pipe.queue.empty() ? nullptr : pipe.queue.front();
    std::erase_if(pipe.queue, [&](Slice* slice) {
      if (!matches(*slice)) return false;
      withdrawn.emplace_back(slice, status);
      return true;
    });
    if (pipe.queue.empty() || pipe.queue.front() != first) pipe.sent = 0;
    std::erase_if(pipe.events, [&](const auto& entry) {
      if (!entry.second.carry || !matches(*entry.second.slice)) return false;
      withdrawn.emplace_back(entry.second.slice, status);
      return true;
    });
  }
  GiveBack(std::move(withdrawn));
}

void ShapedRails::Close(const absl::Status& why) {
  Returned returned;
  {
    MutexLock lock(mutex_);
    if (closed_.ok()) closed_ = why;
    for (Pipe& pipe : pipes_) {
      for (Slice* slice : pipe.queue) returned.emplace_back(slice, why);
      for (auto& [due, event] : pipe.events) {
        returned.emplace_back(event.slice, event.carry ? why : event.status);
      }
      pipe.queue.clear();
      pipe.events.clear();
    }
  }
  GiveBack(std::move(returned));
  for (const auto& rail : inner_) rail->Close(why);
  MutexLock lock(mutex_);
  while (unfinished_ > 0) returned_.WaitUntil(mutex_, kNoDeadline);
}

// From the rail beneath.
void ShapedRails::Done(Slice& slice, absl::Status status) {
  // Whoever gets the last slice back may let go of the rails.
  const auto self = shared_from_this();
  const MonotonicTime now = RealClock().Now();
  MonotonicTime due = now;
  std::optional<absl::Status> back;
  {
    MutexLock lock(mutex_);
    const Posted& posted = posted_.find(&slice)->second;
    Pipe& pipe = Update(posted.rail, now);
    if (posted.falls != pipe.falls) {
      due = pipe.down_at + controls_->options().detection_time;
      if (status.ok()) status = Unavailable("it was cut");
    } else if (status.ok() && !posted.acknowledged) {
      due = now + controls_->options().detection_time;
      status = Unavailable("the acknowledgement was lost");
    }
    if (closed_.ok() && (due > now || pipe.shape.stalled)) {
      pipe.events.emplace(due, Event{.slice = &slice,
                                     .carry = false,
                                     .always = posted.falls != pipe.falls,
                                     .status = std::move(status)});
    } else {
      back = std::move(status);
    }
  }
  if (!back) return wake_();
  GiveBack({{&slice, *std::move(back)}});
}

// Brings a rail up to this moment: until now it was as it was seen last.
ShapedRails::Pipe& ShapedRails::Update(size_t rail, MonotonicTime now) {
  Pipe& pipe = pipes_[rail];
  Send(rail, now);
  pipe.shape = controls_->shape(rail);
  const bool down = pipe.shape.IsDown(now);
  if (down && pipe.state != State::kDown) {
    Fall(pipe, now);
  } else if (!down && pipe.state == State::kDown) {
    pipe.state = State::kIdle;
  } else if (pipe.state == State::kPreparing && now >= pipe.ready_at) {
    pipe.state = State::kReady;
  }
  return pipe;
}

void ShapedRails::Fall(Pipe& pipe, MonotonicTime now) {
  pipe.state = State::kDown;
  pipe.down_at = now;
  ++pipe.falls;
  pipe.sent = 0;
  std::multimap<MonotonicTime, Event> events;
  const auto fail = [&](Slice* slice, absl::Status status) {
    events.emplace(now + controls_->options().detection_time,
                   Event{.slice = slice,
                         .carry = false,
                         .always = true,
                         .status = std::move(status)});
  };
  for (Slice* slice : pipe.queue) fail(slice, Unavailable("it was cut"));
  pipe.queue.clear();
  for (auto& [due, event] : pipe.events) {
    if (event.always) {
      events.emplace(due, std::move(event));
    } else if (event.carry || event.status.ok()) {
      fail(event.slice, Unavailable("it was cut"));
    } else {
      fail(event.slice, std::move(event.status));
    }
  }
  pipe.events = std::move(events);
}

// What has left the queue until now.
void ShapedRails::Send(size_t rail, MonotonicTime now) {
  Pipe& pipe = pipes_[rail];
  MonotonicTime at = std::exchange(pipe.sent_at, std::max(pipe.sent_at, now));
  if (pipe.state != State::kReady || pipe.shape.stalled) return;
  const auto rate = static_cast<double>(pipe.shape.bytes_per_second);
  while (!pipe.queue.empty()) {
    Slice& next = *pipe.queue.front();
    const double left = static_cast<double>(next.length) - pipe.sent;
    if (rate > 0) {
      const double possible = rate * Seconds(now - at);
      if (possible < left) {
        pipe.sent += possible;
        return;
      }
      at = std::min(now, at + FromSeconds(left / rate));
    }
    pipe.sent = 0;
    pipe.queue.pop_front();
    Decide(rail, next, rate > 0 ? at : now);
  }
}

void ShapedRails::Decide(size_t rail, Slice& slice, MonotonicTime sent_at) {
  const RailControls::Fate fate = controls_->NextFate(rail);
  Posted& posted = posted_.find(&slice)->second;
  posted.acknowledged = fate.outcome != Outcome::kUnacknowledged;
  Event event = {.slice = &slice,
                 .carry = fate.outcome == Outcome::kCarried ||
                          fate.outcome == Outcome::kUnacknowledged};
  MonotonicTime due = sent_at + fate.delay;
  if (fate.outcome == Outcome::kLost) {
    event.status = Unavailable("it was lost");
    due += controls_->options().detection_time;
  } else if (fate.outcome == Outcome::kStaleKey) {
    event.status = absl::NotFoundError("shaped rail: no such buffer any more");
  }
  pipes_[rail].events.emplace(due, std::move(event));
}

void ShapedRails::TakeDue(Pipe& pipe, MonotonicTime now,
                          std::vector<Slice*>& carried, Returned& returned) {
  auto next = pipe.events.begin();
  while (next != pipe.events.end() && next->first <= now) {
    Event& event = next->second;
    if (pipe.shape.stalled && !event.always) {
      ++next;
      continue;
    }
    if (event.carry) {
      posted_.find(event.slice)->second.falls = pipe.falls;
      event.slice->sink = this;
      carried.push_back(event.slice);
    } else {
      returned.emplace_back(event.slice, std::move(event.status));
    }
    next = pipe.events.erase(next);
  }
}

MonotonicTime ShapedRails::Move(MonotonicTime now) {
  std::vector<Slice*> carried;
  Returned returned;
  MonotonicTime next = kNoDeadline;
  {
    MutexLock lock(mutex_);
    if (!closed_.ok()) return kNoDeadline;
    for (size_t i = 0; i < pipes_.size(); ++i) {
      Pipe& pipe = Update(i, now);
      // With what has changed.
      Send(i, now);
      TakeDue(pipe, now, carried, returned);
      next = std::min(next, NextTime(pipe, now));
    }
  }
  if (!carried.empty()) inner().Post(carried);
  GiveBack(std::move(returned));
  return next;
}

MonotonicTime ShapedRails::NextTime(const Pipe& pipe, MonotonicTime now) {
  MonotonicTime next = pipe.shape.NextFlap(now);
  if (pipe.state == State::kPreparing) next = std::min(next, pipe.ready_at);
  for (const auto& [due, event] : pipe.events) {
    if (pipe.shape.stalled && !event.always) continue;
    next = std::min(next, due);
    break;
  }
  if (pipe.queue.empty() || pipe.state != State::kReady || pipe.shape.stalled) {
    return next;
  }
  const auto rate = static_cast<double>(pipe.shape.bytes_per_second);
  const double left = pipe.queue.front()->length - pipe.sent;
  return std::min(next, now + FromSeconds(left / rate));
}

void ShapedRails::GiveBack(Returned returned) {
  if (returned.empty()) return;
  for (auto& [slice, status] : returned) {
    {
      MutexLock lock(mutex_);
      const auto found = posted_.find(slice);
      slice->sink = found->second.sink;
      posted_.erase(found);
    }
    slice->sink->Done(*slice, std::move(status));
  }
  MutexLock lock(mutex_);
  unfinished_ -= returned.size();
  if (unfinished_ == 0) returned_.NotifyAll();
}

}  // namespace te
