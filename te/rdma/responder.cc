#include "te/rdma/responder.h"

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "te/base/errno_status.h"
#include "te/base/status_macros.h"
#include "te/rdma/completion_status.h"
#include "te/rdma/connection.h"
#include "te/topology/gid_choice.h"

namespace te::rdma {
namespace {

// What the two ports talk by: nothing for LIDs.
absl::StatusOr<std::optional<GidPair>> ChoosePair(const NicUnit& nic,
                                                  const NicPort& port,
                                                  const RdmaOptions& options,
                                                  const EndpointOffer& remote) {
  GidEnd local = {.device = nic.device->name(), .port = port};
  local.forced_index = options.gid_index;
  // The initiator gets to see the errors, and its user would take "the peer"
  // for the target.
  local.owner = "the target";
  GidEnd there = {.device = remote.device, .port = remote.port};
  there.owner = "the initiator";
  TE_ASSIGN_OR_RETURN(GidChoice choice, ChooseGids(local, there));
  if (choice.by_lid) return std::optional<GidPair>();
  return std::optional<GidPair>(std::move(choice.pairs.front()));
}

}  // namespace

bool Responder::IsInNetworkOf(const NicUnit& nic, const EndpointOffer& offer,
                              const RdmaOptions& options) {
  const absl::StatusOr<std::optional<GidPair>> pair =
      ChoosePair(nic, nic.device->port().nic, options, offer);
  // LIDs are of one subnet.
  return pair.ok() && (!pair->has_value() || (*pair)->one_network);
}

absl::StatusOr<std::shared_ptr<Responder>> Responder::Create(
    NicUnit& nic, const RdmaOptions& options, EndpointStore::Place place,
    const EndpointOffer& remote, HandshakeResponse& response) {
  // No event tells of a new MTU.
  TE_RETURN_IF_ERROR(nic.device->Refresh());
  TE_RETURN_IF_ERROR(nic.device->health());
  std::shared_ptr<Responder> responder(
      new Responder(nic, options, std::move(place)));
  TE_RETURN_IF_ERROR(responder->MakeQueuePairs(remote));

  const Port port = nic.device->port();
  TE_ASSIGN_OR_RETURN(const std::optional<GidPair> pair,
                      ChoosePair(nic, port.nic, options, remote));
  EndpointOffer offer = {
      .device = nic.device->name(), .port = port.nic, .mtu = port.mtu};
  if (options.mtu) offer.mtu = std::min(offer.mtu, *options.mtu);
  offer.port.gids.emplace();
  EndpointOffer chosen = remote;
  chosen.port.gids.emplace();
  if (pair) {
    offer.port.gids->push_back(pair->local);
    chosen.port.gids->push_back(*pair->remote);
    response.client_gid_index = pair->remote->index;
  }
  offer.read_depth =
      std::max(1, std::min({remote.read_depth, options.max_read_depth,
                            nic.device->limits().max_qp_rd_atom}));
  chosen.read_depth = offer.read_depth;
  const std::optional<int> gid_index =
      pair ? std::optional<int>(pair->local.index) : std::nullopt;
  responder->description_ = absl::StrCat(
      DescribeEnd(offer.device, offer.port, offer.mtu, gid_index), " and ",
      DescribeEnd(chosen.device, chosen.port, chosen.mtu,
                  response.client_gid_index),
      pair ? absl::StrCat(" (", pair->reason, ")") : "");
  Path path = PathTo(chosen, gid_index, options, port.mtu);
  // All that it sends are probes.
  path.reads_served = std::exchange(path.reads_sent, 1);
  TE_RETURN_IF_ERROR(responder->ConnectTo(remote, path, offer));
  response.offer = std::move(offer);
  return responder;
}

absl::Status Responder::MakeQueuePairs(const EndpointOffer& offer) {
  const Device& device = *nic_.device;
  const auto count = static_cast<int>(offer.queue_pairs.size());
  MutexLock lock(mutex_);
  // A probe and a receive for each, all of which may be flushed.
  completions_ = CompletionQueueObject(
      device.verbs(), device.verbs().CreateCq(device.context(), 2 * count,
                                              nullptr, nullptr, 0));
  if (!completions_) {
    return ErrnoToStatus(errno,
                         absl::StrCat("a completion queue on ", device.name()));
  }
  for (int i = 0; i < count; ++i) {
    QueuePairLimits limits;
    TE_ASSIGN_OR_RETURN(QueuePair pair,
                        QueuePair::Create(device, completions_.get(),
                                          options_.pkey_index, limits));
    pairs_.push_back(std::move(pair));
  }
  return absl::OkStatus();
}

absl::Status Responder::ConnectTo(const EndpointOffer& remote, const Path& path,
                                  EndpointOffer& offer) {
  MutexLock lock(mutex_);
  for (size_t i = 0; i < pairs_.size(); ++i) {
    TE_RETURN_IF_ERROR(
        pairs_[i].Connect(*nic_.device, remote.queue_pairs[i], path));
    offer.queue_pairs.push_back(pairs_[i].address());
  }
  return absl::OkStatus();
}

void Responder::End() {
  MutexLock lock(mutex_);
  pairs_.clear();
  completions_.Reset();
  EndpointStore::Place(std::move(place_));
}

absl::Status Responder::Probe(MonotonicTime now) {
  MutexLock lock(mutex_);
  if (pairs_.empty()) return absl::OkStatus();
  ibv_wc completion = {};
  while (ibv_poll_cq(completions_.get(), 1, &completion) > 0) {
    probing_ = false;
    if (completion.status != IBV_WC_SUCCESS) {
      return CompletionStatus(completion.status, completion.vendor_err,
                              "a probe", description_);
    }
  }
  // Of which the device may never tell: retry_count 7 is for ever with some.
  if (probing_ && now - probed_at_ >= options_.work_timeout) {
    return absl::UnavailableError(absl::StrCat(
        description_, ": a probe was not answered for ",
        options_.work_timeout / std::chrono::milliseconds(1), " ms"));
  }
  if (probing_ || now < next_probe_) return absl::OkStatus();
  // A new connection has just shown signs of life.
  const bool first = next_probe_ == MonotonicTime();
  next_probe_ = DeadlineAfter(now, options_.keepalive);
  if (first) return absl::OkStatus();
  ibv_send_wr request = {};
  request.opcode = IBV_WR_RDMA_WRITE;
  request.send_flags = IBV_SEND_SIGNALED;
  ibv_send_wr* bad = nullptr;
  if (const int error = ibv_post_send(pairs_.front().get(), &request, &bad)) {
    return ErrnoToStatus(error, "ibv_post_send of a probe");
  }
  probing_ = true;
  probed_at_ = now;
  return absl::OkStatus();
}

}  // namespace te::rdma
