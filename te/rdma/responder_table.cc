#include "te/rdma/responder_table.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "absl/strings/str_cat.h"
#include "glog/logging.h"
#include "te/base/status_macros.h"

namespace te::rdma {
namespace {

// Rails are remembered when they have no queue pairs any more, for requests
// that come late: so many.
constexpr size_t kMaxRails = 8192;

}  // namespace

// Decides under the lock what the request ends, and notes it, so that an older
// one that comes later is refused.
absl::Status ResponderTable::Admit(const RailKey& key, const LaneKey& lane,
                                   const HandshakeRequest& request,
                                   Responders& ended) {
  if (rails_.size() >= kMaxRails) ForgetEmptyRails();
  Rail& rail = rails_[key];
  if (request.session < rail.session) {
    return absl::AbortedError("a newer session of the rail has begun");
  }
  if (request.session > rail.session) {
    for (auto& [unused, old] : rail.lanes) {
      if (old.responder != nullptr) ended.push_back(std::move(old.responder));
    }
    rail.lanes.clear();
    rail.session = request.session;
  }
  Lane& place = rail.lanes[lane];
  if (request.epoch < place.epoch) {
    return absl::AbortedError("a newer handshake between the NICs has begun");
  }
  place.epoch = request.epoch;
  if (place.responder != nullptr) ended.push_back(std::move(place.responder));
  return absl::OkStatus();
}

void ResponderTable::ForgetEmptyRails() {
  for (auto rail = rails_.begin(); rail != rails_.end();) {
    const bool empty = std::all_of(
        rail->second.lanes.begin(), rail->second.lanes.end(),
        [](const auto& lane) { return lane.second.responder == nullptr; });
    rail = empty ? rails_.erase(rail) : std::next(rail);
  }
}

absl::StatusOr<HandshakeResponse> ResponderTable::Answer(
    const Incarnation& client, const HandshakeRequest& request,
    MonotonicTime deadline) {
  const auto nic = static_cast<uint32_t>(request.server_nic % nics_.size());
  const RailKey key(std::string(client.bytes().begin(), client.bytes().end()),
                    request.rail_id);
  const LaneKey lane(request.client_nic, nic);
  Responders ended;
  {
    MutexLock lock(mutex_);
    TE_RETURN_IF_ERROR(Admit(key, lane, request, ended));
  }
  // Destroys queue pairs: not under the lock.
  ended.clear();
  HandshakeResponse response = {.nics = static_cast<uint32_t>(nics_.size()),
                                .server_nic = nic};
  if (!request.offer) return response;
  TE_ASSIGN_OR_RETURN(EndpointStore::Place place,
                      endpoints_.Take({}, deadline));
  TE_ASSIGN_OR_RETURN(std::shared_ptr<Responder> responder,
                      Responder::Create(*nics_[nic], options_, std::move(place),
                                        *request.offer, response));
  LOG(INFO) << "rdma: " << responder->description() << " are connected";
  TE_RETURN_IF_ERROR(Keep(key, lane, request, responder));
  return response;
}

// Unless something newer has come meanwhile.
absl::Status ResponderTable::Keep(const RailKey& key, const LaneKey& lane,
                                  const HandshakeRequest& request,
                                  std::shared_ptr<Responder>& responder) {
  MutexLock lock(mutex_);
  const auto rail = rails_.find(key);
  if (rail == rails_.end() || rail->second.session != request.session) {
    return absl::AbortedError("a newer session of the rail has begun");
  }
  Lane& place = rail->second.lanes[lane];
  if (place.epoch != request.epoch) {
    return absl::AbortedError("a newer handshake between the NICs has begun");
  }
  place.responder = std::move(responder);
  return absl::OkStatus();
}

void ResponderTable::Clear() {
  std::map<RailKey, Rail> all;
  {
    MutexLock lock(mutex_);
    all.swap(rails_);
  }
}

void ResponderTable::ProbePeers(MonotonicTime now) {
  Responders all;
  {
    MutexLock lock(mutex_);
    for (const auto& [unused, rail] : rails_) {
      for (const auto& [unused_lane, lane] : rail.lanes) {
        if (lane.responder != nullptr) all.push_back(lane.responder);
      }
    }
  }
  for (const std::shared_ptr<Responder>& responder : all) {
    if (const absl::Status status = responder->Probe(now); !status.ok()) {
      LOG(INFO) << "rdma: " << responder->description()
                << ", which the peer does not use any more: " << status;
      Forget(*responder);
    }
  }
}

void ResponderTable::Forget(const Responder& responder) {
  std::shared_ptr<Responder> found;
  MutexLock lock(mutex_);
  for (auto rail = rails_.begin(); rail != rails_.end(); ++rail) {
    for (auto lane = rail->second.lanes.begin();
         lane != rail->second.lanes.end(); ++lane) {
      if (lane->second.responder.get() != &responder) continue;
      rail->second.lanes.erase(lane);
      if (rail->second.lanes.empty()) rails_.erase(rail);
      return;
    }
  }
}

size_t ResponderTable::size() const {
  MutexLock lock(mutex_);
  size_t count = 0;
  for (const auto& [unused, rail] : rails_) {
    for (const auto& [unused_lane, lane] : rail.lanes) {
      count += lane.responder != nullptr ? 1 : 0;
    }
  }
  return count;
}

}  // namespace te::rdma
