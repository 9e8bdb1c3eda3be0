#include "te/testing/chaos_node.h"

#include <chrono>
#include <numeric>
#include <utility>

#include "absl/status/statusor.h"
#include "te/base/clock.h"
#include "te/base/status_macros.h"

namespace te {
namespace {

constexpr Duration kEnough = std::chrono::seconds(30);
constexpr Duration kUnregisterTimeout = std::chrono::milliseconds(200);

// On a machine with much else to do, the time of one call is sometimes too
// short to publish what it changes.
template <typename Call>
auto UntilInTime(const Call& call) {
  const MonotonicTime deadline = DeadlineAfter(RealClock().Now(), kEnough);
  auto result = call();
  while (absl::IsDeadlineExceeded(result.status()) &&
         RealClock().Now() < deadline) {
    result = call();
  }
  return result;
}

}  // namespace

// No other engine can begin while this one is used.
ChaosNode::Use::Use(ChaosNode& node)
    : node_(node), engine_(node.Enter()), generation_(node.generation()) {}

ChaosNode::Use::~Use() { node_.Leave(); }

ChaosNode::ChaosNode(ChaosCluster& cluster, size_t number,
                     const std::vector<size_t>& regions)
    : cluster_(cluster),
      number_(number),
      memory_(std::accumulate(regions.begin(), regions.end(), size_t{0})) {
  size_t begin = 0;
  for (const size_t length : regions) {
    regions_.push_back({.memory = {memory_.data() + begin, length}});
    begin += length;
  }
}

absl::Status ChaosNode::Start() {
  TE_ASSIGN_OR_RETURN(std::unique_ptr<TransferEngine> engine,
                      UntilInTime([this] { return cluster_.Start(number_); }));
  for (Region& region : regions_) {
    TE_RETURN_IF_ERROR(Register(*engine, region));
  }
  MutexLock lock(mutex_);
  engine_ = std::move(engine);
  ++generation_;
  changed_.NotifyAll();
  return absl::OkStatus();
}

void ChaosNode::Stop() {
  std::unique_ptr<TransferEngine> engine;
  {
    MutexLock lock(mutex_);
    // Who comes now waits for the next one.
    engine = std::move(engine_);
    while (users_ > 0) changed_.WaitUntil(mutex_, kNoDeadline);
  }
}

TransferEngine& ChaosNode::Enter() {
  MutexLock lock(mutex_);
  while (engine_ == nullptr) changed_.WaitUntil(mutex_, kNoDeadline);
  ++users_;
  return *engine_;
}

void ChaosNode::Leave() {
  MutexLock lock(mutex_);
  if (--users_ == 0) changed_.NotifyAll();
}

uint64_t ChaosNode::generation() const {
  MutexLock lock(mutex_);
  return generation_;
}

absl::Status ChaosNode::Register(TransferEngine& engine, Region& region) {
  TE_ASSIGN_OR_RETURN(
      region.buffer, UntilInTime([&] {
        return engine.RegisterMemory(MemoryRegion{
            .address = region.memory.data(), .length = region.memory.size()});
      }));
  return absl::OkStatus();
}

absl::Status ChaosNode::RegisterAnew(size_t index) {
  const Use use(*this);
  Region& region = regions_[index];
  TE_RETURN_IF_ERROR(
      use.engine().UnregisterMemory(region.buffer, kUnregisterTimeout));
  return Register(use.engine(), region);
}

}  // namespace te
