#include "te/transport/fault_injecting_transport.h"

#include <atomic>
#include <map>
#include <string>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/types/span.h"
#include "te/base/status_macros.h"
#include "te/transport/slice.h"

namespace te {
namespace {

using Call = FaultScript::Call;
using Fault = FaultScript::Fault;

absl::Status Injected() { return absl::UnavailableError("injected"); }

// Stands between the rail and the sinks of the slices on it.
class FaultInjectingRail final : public Rail, private CompletionSink {
 public:
  FaultInjectingRail(std::shared_ptr<Rail> inner,
                     std::shared_ptr<FaultScript> script)
      : inner_(std::move(inner)), script_(std::move(script)) {}
  ~FaultInjectingRail() override {
    Close(absl::CancelledError("the rail is gone"));
  }

  void Post(absl::Span<Slice* const> slices) override {
    if (script_->Next(Call::kPost) == Fault::kFail) cut_ = true;
    if (cut_) {
      Flush();
      for (Slice* slice : slices) slice->sink->Done(*slice, Injected());
      return;
    }
    CompletionSink& self = *this;
    {
      MutexLock lock(mutex_);
      for (Slice* slice : slices) {
        sinks_[slice] = std::exchange(slice->sink, &self);
      }
    }
    inner_->Post(slices);
    // What was held back when Close has been must not stay.
    if (!inner_->health().ok()) Flush();
  }
  Progress Poll() override { return inner_->Poll(); }
  void BeginPolling() override { inner_->BeginPolling(); }
  void EndPolling() override { inner_->EndPolling(); }

  void Withdraw(absl::FunctionRef<bool(const Slice&)> matches,
                const absl::Status& status) override {
    inner_->Withdraw(matches, status);
  }
  void Close(const absl::Status& why) override {
    inner_->Close(why);
    Flush();
  }
  absl::Status health() const override {
    return cut_ ? Injected() : inner_->health();
  }
  std::string name() const override { return inner_->name(); }

 private:
  struct Held {
    Slice* slice;
    absl::Status status;
    bool until_close;
  };

  void Done(Slice& slice, absl::Status status) override {
    const Fault fault = script_->Next(Call::kCompletion);
    std::vector<Held> due;
    if (fault == Fault::kFail && status.ok()) status = Injected();
    const bool hold = fault == Fault::kDelay || fault == Fault::kDrop;
    {
      MutexLock lock(mutex_);
      const bool open = health().ok();
      std::vector<Held> kept;
      for (Held& held : held_) {
        (open && held.until_close ? kept : due).push_back(std::move(held));
      }
      held_ = std::move(kept);
      Held now = {&slice, std::move(status), fault == Fault::kDrop};
      if (now.until_close) now.status = Injected();
      (hold && open ? held_ : due).push_back(std::move(now));
    }
    GiveBack(due);
  }

  void Flush() {
    std::vector<Held> due;
    {
      MutexLock lock(mutex_);
      due.swap(held_);
    }
    GiveBack(due);
  }

  void GiveBack(std::vector<Held>& due) {
    for (Held& held : due) {
      CompletionSink* sink = nullptr;
      {
        MutexLock lock(mutex_);
        const auto found = sinks_.find(held.slice);
        sink = found->second;
        sinks_.erase(found);
      }
      held.slice->sink = sink;
      sink->Done(*held.slice, std::move(held.status));
    }
  }

  const std::shared_ptr<Rail> inner_;
  const std::shared_ptr<FaultScript> script_;
  // What is under way still ends, as it would where only one side is cut.
  std::atomic<bool> cut_{false};
  Mutex mutex_;
  std::map<const Slice*, CompletionSink*> sinks_ ABSL_GUARDED_BY(mutex_);
  std::vector<Held> held_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace

Fault FaultScript::Next(Call call) {
  MutexLock lock(mutex_);
  const uint64_t index = counts_[static_cast<int>(call)]++;
  if (one_in_ > 0) {
    if (random_() % one_in_ != 0) return Fault::kNone;
    const bool delay = call == Call::kCompletion && random_() % 2 == 0;
    return delay ? Fault::kDelay : Fault::kFail;
  }
  return call == call_ && index == index_ ? fault_ : Fault::kNone;
}

absl::StatusOr<Rails> FaultInjectingTransport::Connect(
    const PeerIdentity& peer, uint64_t rail_id,
    std::shared_ptr<PeerChannel> channel, MonotonicTime deadline) {
  if (script_->Next(Call::kConnect) == Fault::kFail) return Injected();
  TE_ASSIGN_OR_RETURN(
      Rails rails,
      inner().Connect(peer, rail_id, std::move(channel), deadline));
  for (std::shared_ptr<Rail>& rail : rails) {
    rail = std::make_shared<FaultInjectingRail>(std::move(rail), script_);
  }
  return rails;
}

}  // namespace te
