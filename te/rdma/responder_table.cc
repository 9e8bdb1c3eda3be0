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
  // A rail that is not known has nothing to take down.
  if (!request.offer && !rails_.contains(key)) return absl::OkStatus();
  if (rails_.size() >= kMaxRails) ForgetEmptyRails();
  Rail& rail = rails_[key];
  if (request.session < rail.session) {
    return absl::AbortedError("a newer session of the rail has begun");
  }
  if (request.session > rail.session) {
    rail.session = request.session;
    // What was said in the old one does not count.
    for (auto& [unused, old] : rail.lanes) old.epoch = 0;
  }
  Lane& place = rail.lanes[lane];
  if (request.epoch < place.epoch) {
    return absl::AbortedError("a newer handshake of the lane has begun");
  }
  place.epoch = request.epoch;
  for (const auto& [at, other] : rail.lanes) {
    if (other.responder != nullptr &&
        (at == lane || other.session != request.session)) {
      ended.push_back(other.responder);
    }
  }
  return absl::OkStatus();
}

// Not under the lock: it destroys queue pairs. Others may be ending the same
// ones, and then wait for each other.
void ResponderTable::End(const Responders& responders) {
  for (const auto& responder : responders) responder->End();
  MutexLock lock(mutex_);
  for (auto& [unused, rail] : rails_) {
    for (auto& [unused_lane, lane] : rail.lanes) {
      if (std::find(responders.begin(), responders.end(), lane.responder) !=
          responders.end()) {
        lane.responder = nullptr;
      }
    }
  }
}

void ResponderTable::ForgetEmptyRails() {
  for (auto rail = rails_.begin(); rail != rails_.end();) {
    const bool empty = std::all_of(
        rail->second.lanes.begin(), rail->second.lanes.end(),
        [](const auto& lane) { return lane.second.responder == nullptr; });
    rail = empty ? rails_.erase(rail) : std::next(rail);
  }
}

size_t ResponderTable::NicFor(size_t wanted, const EndpointOffer& offer) const {
  if (Responder::IsInNetworkOf(*nics_[wanted], offer, options_)) return wanted;
  for (size_t i = 1; i < nics_.size(); ++i) {
    const size_t other = (wanted + i) % nics_.size();
    if (nics_[other]->device->health().ok() &&
        Responder::IsInNetworkOf(*nics_[other], offer, options_)) {
      return other;
    }
  }
  // Routers may connect all of them.
  return wanted;
}

absl::StatusOr<HandshakeResponse> ResponderTable::Answer(
    const Incarnation& client, const HandshakeRequest& request,
    MonotonicTime deadline) {
  const size_t wanted = request.server_nic % nics_.size();
  const RailKey key(std::string(client.bytes().begin(), client.bytes().end()),
                    request.rail_id);
  const LaneKey lane(request.client_nic, static_cast<uint32_t>(wanted));
  Responders ended;
  {
    MutexLock lock(mutex_);
    TE_RETURN_IF_ERROR(Admit(key, lane, request, ended));
  }
  End(ended);
  const size_t nic = request.offer ? NicFor(wanted, *request.offer) : wanted;
  HandshakeResponse response = {.nics = static_cast<uint32_t>(nics_.size()),
                                .server_nic = static_cast<uint32_t>(nic)};
  if (!request.offer) return response;
  TE_ASSIGN_OR_RETURN(EndpointStore::Place place,
                      endpoints_.Take({}, deadline));
  TE_ASSIGN_OR_RETURN(std::shared_ptr<Responder> responder,
                      Responder::Create(*nics_[nic], options_, std::move(place),
                                        *request.offer, response));
  LOG(INFO) << "rdma: " << responder->description() << " are connected";
  if (const absl::Status kept = Keep(key, lane, request, responder);
      !kept.ok()) {
    responder->End();
    return kept;
  }
  return response;
}

// Unless something newer has come meanwhile.
absl::Status ResponderTable::Keep(const RailKey& key, const LaneKey& lane,
                                  const HandshakeRequest& request,
                                  const std::shared_ptr<Responder>& responder) {
  MutexLock lock(mutex_);
  const auto rail = rails_.find(key);
  if (rail == rails_.end() || rail->second.session != request.session) {
    return absl::AbortedError("a newer session of the rail has begun");
  }
  Lane& place = rail->second.lanes[lane];
  if (place.epoch != request.epoch) {
    return absl::AbortedError("a newer handshake of the lane has begun");
  }
  place.session = request.session;
  place.responder = responder;
  return absl::OkStatus();
}

ResponderTable::Responders ResponderTable::All() const {
  Responders all;
  MutexLock lock(mutex_);
  for (const auto& [unused, rail] : rails_) {
    for (const auto& [unused_lane, lane] : rail.lanes) {
      if (lane.responder != nullptr) all.push_back(lane.responder);
    }
  }
  return all;
}

void ResponderTable::Clear() { End(All()); }

void ResponderTable::ProbePeers(MonotonicTime now) {
  Responders gone;
  for (const std::shared_ptr<Responder>& responder : All()) {
    if (const absl::Status status = responder->Probe(now); !status.ok()) {
      LOG(INFO) << "rdma: " << responder->description()
                << ", which the peer does not use any more: " << status;
      gone.push_back(responder);
    }
  }
  if (!gone.empty()) End(gone);
}

size_t ResponderTable::size() const { return All().size(); }

}  // namespace te::rdma
