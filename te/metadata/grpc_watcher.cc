#include "te/metadata/grpc_watcher.h"

#include <algorithm>
#include <chrono>
#include <memory>
#include <random>
#include <utility>
#include <vector>

#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "te/base/clock.h"
#include "te/base/host_port.h"
#include "te/base/mutex.h"
#include "te/base/status_macros.h"
#include "te/base/thread.h"
#include "te/grpc/channel.h"
#include "te/metadata/grpc_watch_stream.h"
#include "te/metadata/metadata_store.h"
#include "te/metadata/watch_hub.h"

namespace te {
namespace {

// How soon a server is missed that has gone without a word: this and half of it
// again.
constexpr Duration kKeepalive = std::chrono::seconds(10);
constexpr Duration kResolveTime = std::chrono::seconds(5);

// Between streams. An old server that knows no watches will not learn it soon.
constexpr Duration kFirstPause = std::chrono::milliseconds(20);
constexpr Duration kLastPause = std::chrono::seconds(2);
constexpr Duration kPauseOfOldServer = std::chrono::seconds(30);

GrpcChannelOptions WithKeepalive(GrpcChannelOptions options) {
  options.keepalive = kKeepalive;
  return options;
}

}  // namespace

GrpcWatcher::GrpcWatcher(absl::string_view server,
                         std::vector<HostPort> addresses,
                         GrpcChannelOptions options)
    : channel_(server, std::move(addresses), WithKeepalive(std::move(options))),
      hub_({.on_scope = [this](const WatchScope& scope, bool first) {
        OnScope(scope, first);
      }}) {}

GrpcWatcher::~GrpcWatcher() {
  Thread thread;
  {
    MutexLock lock(mutex_);
    stopped_ = true;
    changed_.NotifyAll();
    if (stream_ != nullptr) stream_->Cancel();
    thread = std::move(thread_);
  }
  thread.Join();
}

absl::Status GrpcWatcher::StartThread() {
  MutexLock lock(mutex_);
  if (thread_.joinable()) return absl::OkStatus();
  absl::StatusOr<Thread> thread =
      Thread::Start({.name = "te-watch"}, [this] { Work(); });
  if (!thread.ok()) {
    return absl::ResourceExhaustedError(thread.status().message());
  }
  thread_ = *std::move(thread);
  return absl::OkStatus();
}

absl::StatusOr<std::unique_ptr<StoreWatch>> GrpcWatcher::Watch(
    const WatchScope& scope, WatchCallback on_event) {
  TE_RETURN_IF_ERROR(ValidateScope(scope));
  TE_RETURN_IF_ERROR(StartThread());
  return hub_.Add(scope, std::move(on_event));
}

void GrpcWatcher::OnScope(const WatchScope& scope, bool first) {
  MutexLock lock(mutex_);
  if (first) {
    wanted_.insert(scope);
    if (stream_ != nullptr) {
      stream_->Begin(scope);
    } else {
      fresh_.insert(scope);
    }
  } else {
    wanted_.erase(scope);
    fresh_.erase(scope);
    if (stream_ != nullptr) stream_->End(scope);
  }
  changed_.NotifyAll();
}

bool GrpcWatcher::RunStream(absl::Status& status) {
  const auto channel =
      channel_.Get(DeadlineAfter(RealClock().Now(), kResolveTime));
  status = channel.status();
  if (!status.ok()) return false;
  GrpcWatchStream stream(channel_.server(), *channel, hub_);
  {
    MutexLock lock(mutex_);
    if (stopped_) return false;
    for (const WatchScope& scope : wanted_) stream.Begin(scope);
    fresh_.clear();
    stream_ = &stream;
  }
  status = stream.Run();
  MutexLock lock(mutex_);
  stream_ = nullptr;
  return stream.answered();
}

void GrpcWatcher::Pause(Duration pause, const absl::Status& why) {
  const MonotonicTime end = DeadlineAfter(RealClock().Now(), pause);
  for (;;) {
    absl::flat_hash_set<WatchScope> fresh;
    {
      MutexLock lock(mutex_);
      while (fresh_.empty() && !stopped_) {
        if (!changed_.WaitUntil(mutex_, end)) return;
      }
      if (stopped_) return;
      fresh.swap(fresh_);
    }
    for (const WatchScope& scope : fresh) hub_.Break(scope, why);
  }
}

void GrpcWatcher::Work() {
  // So that the clients of a server that comes back do not all come at once.
  std::minstd_rand random(std::random_device{}());
  std::uniform_real_distribution<double> around(0.5, 1.5);
  Duration pause = kFirstPause;
  for (;;) {
    {
      MutexLock lock(mutex_);
      while (wanted_.empty() && !stopped_) {
        changed_.WaitUntil(mutex_, kNoDeadline);
      }
      if (stopped_) return;
    }
    absl::Status status;
    if (RunStream(status)) pause = kFirstPause;
    if (status.ok()) continue;  // stopped
    hub_.BreakAll(status);
    Pause(std::chrono::duration_cast<Duration>(
              around(random) *
              (absl::IsUnimplemented(status) ? kPauseOfOldServer : pause)),
          status);
    pause = std::min(2 * pause, kLastPause);
  }
}

}  // namespace te
