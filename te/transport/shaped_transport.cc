#include "te/transport/shaped_transport.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "te/base/mutex.h"
#include "te/base/status_macros.h"
#include "te/transport/shaped_rails.h"

namespace te {

// What the thread does.
class ShapedTransport::Mover final : public RailShapeListener {
 public:
  void OnShapeChange() override { Wake(); }
  void Wake() {
    MutexLock lock(mutex_);
    awake_ = true;
    changed_.NotifyOne();
  }
  void Stop() {
    MutexLock lock(mutex_);
    stopping_ = true;
    changed_.NotifyOne();
  }
  void Add(std::weak_ptr<ShapedRails> rails) {
    MutexLock lock(mutex_);
    rails_.push_back(std::move(rails));
  }

  void Run() {
    MonotonicTime next = kNoDeadline;
    while (Wait(next)) {
      next = kNoDeadline;
      for (const auto& rails : Living()) {
        next = std::min(next, rails->Move(RealClock().Now()));
      }
    }
  }

 private:
  // Until then, or until somebody wakes the thread; false to end it.
  bool Wait(MonotonicTime next) {
    MutexLock lock(mutex_);
    while (!awake_ && !stopping_) {
      if (!changed_.WaitUntil(mutex_, next)) break;
    }
    awake_ = false;
    return !stopping_;
  }
  std::vector<std::shared_ptr<ShapedRails>> Living() {
    std::vector<std::shared_ptr<ShapedRails>> living;
    MutexLock lock(mutex_);
    std::erase_if(rails_, [&living](const auto& weak) {
      auto rails = weak.lock();
      if (rails == nullptr) return true;
      living.push_back(std::move(rails));
      return false;
    });
    return living;
  }

  Mutex mutex_;
  CondVar changed_;
  bool awake_ ABSL_GUARDED_BY(mutex_) = false;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  std::vector<std::weak_ptr<ShapedRails>> rails_ ABSL_GUARDED_BY(mutex_);
};

absl::StatusOr<std::unique_ptr<ShapedTransport>> ShapedTransport::Create(
    std::unique_ptr<Transport> inner, std::shared_ptr<RailControls> controls) {
  std::unique_ptr<ShapedTransport> transport(
      new ShapedTransport(std::move(inner), std::move(controls)));
  TE_ASSIGN_OR_RETURN(
      transport->thread_,
      Thread::Start({.name = "te-shaped"},
                    [mover = transport->mover_] { mover->Run(); }));
  transport->controls_->AddListener(transport->mover_);
  return transport;
}

ShapedTransport::ShapedTransport(std::unique_ptr<Transport> inner,
                                 std::shared_ptr<RailControls> controls)
    : ForwardingTransport(std::move(inner)),
      controls_(std::move(controls)),
      mover_(std::make_shared<Mover>()) {}

ShapedTransport::~ShapedTransport() {
  mover_->Stop();
  thread_.Join();
}

absl::StatusOr<Rails> ShapedTransport::Connect(
    const PeerIdentity& peer, uint64_t rail_id,
    std::shared_ptr<PeerChannel> channel, MonotonicTime deadline) {
  TE_ASSIGN_OR_RETURN(
      Rails inner,
      inner().Connect(peer, rail_id, std::move(channel), deadline));
  const auto rails = std::make_shared<ShapedRails>(
      std::move(inner), controls_, [mover = mover_] { mover->Wake(); });
  for (size_t i = 0; i < controls_->options().rails; ++i) {
    if (rails->state(i) != Rail::State::kReady) continue;
    mover_->Add(rails);
    mover_->Wake();
    return ShapedRails::MakeRails(rails);
  }
  return absl::UnavailableError("shaped rails: all of them are down");
}

}  // namespace te
