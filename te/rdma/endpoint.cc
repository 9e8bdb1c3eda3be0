#include "te/rdma/endpoint.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "glog/logging.h"

namespace te::rdma {

Endpoint::Endpoint(NicUnit& nic, size_t local, const MemoryRegions& memory,
                   const RdmaOptions& options, Host& host)
    : nic_(nic),
      local_(local),
      memory_(memory),
      options_(options),
      host_(host) {}

Endpoint::~Endpoint() { CHECK(connection_ == nullptr); }

absl::StatusOr<std::unique_ptr<Connection>> Endpoint::MakeConnection(
    EndpointStore::Place place) {
  return rdma::MakeConnection(nic_, options_, std::move(place), *this);
}

void Endpoint::Discard(std::unique_ptr<Connection> connection) {
  DropConnection(nic_, std::move(connection));
}

void Endpoint::Install(std::unique_ptr<Connection> connection) {
  CHECK(connection_ == nullptr);
  {
    MutexLock lock(mutex_);
    failure_ = absl::OkStatus();
    description_ = connection->description;
  }
  polling_.Take();
  connection_ = std::move(connection);
  current_ = 0;
  armed_ = false;
  attended_ = false;
  proven_ = false;
  has_carried_ = false;
  evicted_ = false;
  // Or else it would be the first to go again.
  used_ = true;
  polling_.Pass();
  ready_ = true;
}

Endpoint::Remains Endpoint::Retire() {
  Remains remains;
  if (connection_ == nullptr) return remains;
  ready_ = false;
  polling_.Take();
  while (PollOnce(remains.finished) > 0) {
  }
  // From here on the device touches no memory, and nothing completes.
  for (const auto& queue : connection_->queues) queue->DestroyPair();
  for (const auto& queue : connection_->queues) {
    queue->CompleteBefore(queue->end(), [&](const SendQueue::Posted& posted) {
      polling_.AssertHeld();
      GiveUp(posted, remains.finished);
    });
  }
  remains.connection = std::move(connection_);
  remains.unknown.Append(std::move(flushed_));
  polling_.Pass();
  return remains;
}

void Endpoint::Conclude(Remains remains) {
  CHECK(remains.unknown.empty());
  GiveBack(std::move(remains.finished));
  if (remains.connection != nullptr) Discard(std::move(remains.connection));
}

void Endpoint::Break(const absl::Status& why) {
  if (!ready_.exchange(false)) return;
  {
    MutexLock lock(mutex_);
    failure_ = why;
  }
  for (const auto& queue : connection_->queues) {
    const absl::Status status = queue->pair().Break(*nic_.device);
    // Then Retire destroys it, which ends its work as well.
    LOG_IF(WARNING, !status.ok()) << status;
  }
  host_.OnBroken(*this);
}

EndpointStore::Use Endpoint::TakeUse() {
  if (!usable()) return EndpointStore::Use::kPinned;
  return used_.exchange(false) ? EndpointStore::Use::kSome
                               : EndpointStore::Use::kNone;
}

void Endpoint::Evict() {
  if (!evicted_.exchange(true)) host_.OnEvicted(*this);
}

absl::Status Endpoint::failure() const {
  MutexLock lock(mutex_);
  return failure_;
}

std::string Endpoint::Describe() const {
  MutexLock lock(mutex_);
  return description_;
}

}  // namespace te::rdma
