#include "te/testing/chaos.h"

#include <sched.h>

#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "glog/logging.h"
#include "te/base/mutex.h"
#include "te/base/process_resources.h"
#include "te/base/thread.h"
#include "te/core/transfer_engine.h"

namespace te {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Duration kEnough = seconds(30);

MonotonicTime Soon() { return DeadlineAfter(RealClock().Now(), kEnough); }

// Nobody ends it earlier.
void Pause(Duration duration) {
  Mutex mutex;
  CondVar never;
  const MonotonicTime end = DeadlineAfter(RealClock().Now(), duration);
  MutexLock lock(mutex);
  while (never.WaitUntil(mutex, end)) {
  }
}

}  // namespace

Chaos::Chaos(ChaosCluster& cluster, const ChaosOptions& options)
    : cluster_(cluster), options_(options), random_(options.seed) {
  std::vector<size_t> block_sizes;
  std::vector<size_t> regions;
  for (size_t i = 0; i < options.threads; ++i) {
    block_sizes.push_back(i % 4 == 0 ? options.long_block_size
                                     : options.block_size);
    regions.push_back(ChaosWalker::RegionSize(block_sizes.back()));
  }
  for (size_t node = 0; node < cluster.nodes(); ++node) {
    nodes_.push_back(std::make_unique<ChaosNode>(cluster, node, regions));
  }
  for (size_t i = 0; i < options.threads; ++i) {
    walkers_.push_back(std::make_unique<ChaosWalker>(nodes_, i, block_sizes[i],
                                                     random_(), log_));
  }
}

absl::Status Chaos::Run() {
  LOG(INFO) << "chaos with seed " << options_.seed;
  WarmUp();
  StartAll();
  if (log_.failed()) return absl::InternalError(log_.failure());
  OnThreads(
      [this](ChaosWalker& walker) { walker.WalkUntil(stop_, options_.gentle); },
      [this] { MakeTrouble(); });
  if (!log_.failed()) {
    OnThreads([](ChaosWalker& walker) { walker.WalkInCalm(); }, [] {});
    AwaitIdle();
  }
  StopAll();
  for (const auto& walker : walkers_) walker->CheckEnd();
  AwaitNothingLeft();
  if (!log_.failed() && counts().succeeded == 0) {
    log_.Fail("not a single request has succeeded");
  }
  if (!log_.failed()) return absl::OkStatus();
  return absl::InternalError(
      absl::StrCat("seed ", options_.seed, ": ", log_.failure()));
}

// Some libraries keep what they have made once.
void Chaos::WarmUp() {
  StartAll();
  if (log_.failed()) return;
  walkers_[0]->WalkInCalm();
  StopAll();
  descriptors_ = CountOpenDescriptors();
  known_ = DescribeOpenDescriptors();
  threads_ = CountThreads();
}

void Chaos::StartAll() {
  for (const auto& node : nodes_) {
    const absl::Status status = node->Start();
    if (!status.ok()) log_.Fail("no engine: ", status.ToString());
  }
}

void Chaos::StopAll() {
  for (const auto& node : nodes_) node->Stop();
}

template <typename Body>
void Chaos::OnThreads(const Body& body,
                      const std::function<void()>& meanwhile) {
  std::vector<Thread> threads;
  for (const auto& walker : walkers_) {
    absl::StatusOr<Thread> thread =
        Thread::Start({.name = "chaos"}, [&] { body(*walker); });
    CHECK(thread.ok()) << thread.status();
    threads.push_back(*std::move(thread));
  }
  meanwhile();
}

void Chaos::MakeTrouble() {
  const MonotonicTime end = DeadlineAfter(RealClock().Now(), options_.duration);
  while (RealClock().Now() < end && !log_.failed()) {
    if (!options_.gentle && random_() % 50 == 0) {
      Restart(*nodes_[random_() % nodes_.size()]);
    } else {
      log_.Note(cluster_.Disturb(random_));
    }
    Pause(milliseconds(random_() % 40));
  }
  stop_ = true;
  // What a rail has that was stalled for good would only end by its deadline.
  log_.Note("calm");
  cluster_.Calm();
}

void Chaos::Restart(ChaosNode& node) {
  log_.Note("restart ", node.name());
  node.Stop();
  absl::Status status = node.Start();
  if (absl::IsUnavailable(status)) {
    log_.Note(node.name(), " cannot start, so calm: ", status.message());
    cluster_.Calm();
    status = node.Start();
  }
  log_.Note(node.name(), " has restarted");
  // Somebody may wait for it for ever.
  CHECK(status.ok()) << status;
}

void Chaos::AwaitIdle() {
  const MonotonicTime deadline = Soon();
  for (const auto& node : nodes_) {
    const ChaosNode::Use use(*node);
    EngineStatus status = use.engine().Status();
    while ((status.batches_in_use > 0 || status.slices_in_use > 0) &&
           RealClock().Now() < deadline) {
      sched_yield();
      status = use.engine().Status();
    }
    if (status.batches_in_use == 0 && status.slices_in_use == 0) continue;
    log_.Fail(node->name(), " still has ", status.batches_in_use,
              " batches and ", status.slices_in_use, " slices");
  }
}

void Chaos::AwaitNothingLeft() {
  const MonotonicTime deadline = Soon();
  const size_t descriptors = AwaitOpenDescriptors(descriptors_, deadline);
  if (descriptors > descriptors_) {
    log_.Fail(descriptors, " descriptors are open, and ", descriptors_,
              " were before: ", DescribeOpenDescriptors(), "before: ", known_);
  }
  const size_t threads = AwaitThreads(threads_, deadline);
  if (threads > threads_) {
    log_.Fail(threads, " threads run, and ", threads_,
              " did before: ", DescribeThreads());
  }
}

ChaosWalker::Counts Chaos::counts() const {
  ChaosWalker::Counts all;
  for (const auto& walker : walkers_) {
    const ChaosWalker::Counts& counts = walker->counts();
    all.batches += counts.batches;
    all.succeeded += counts.succeeded;
    all.bytes += counts.bytes;
    for (const auto& [code, failed] : counts.failed_with) {
      all.failed_with[code] += failed;
    }
  }
  return all;
}

std::string Chaos::Summary() const {
  const ChaosWalker::Counts all = counts();
  std::string summary =
      absl::StrCat(all.batches, " batches, ", all.bytes, " bytes, ",
                   all.succeeded, " requests succeeded, ",
                   all.failed_with.empty() ? "none failed" : "failed");
  for (const auto& [code, failed] : all.failed_with) {
    absl::StrAppend(&summary, " ", absl::StatusCodeToString(code), ": ",
                    failed);
  }
  return summary;
}

}  // namespace te
