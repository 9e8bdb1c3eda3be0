#include "te/rdma/connection.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "te/base/status_macros.h"

namespace te::rdma {
namespace {

uint32_t Cap(int wanted, int limit) {
  return static_cast<uint32_t>(std::min(wanted, std::max(limit, 1)));
}

const GidEntry* FindGid(const NicPort& port, int index) {
  if (!port.gids) return nullptr;
  for (const GidEntry& entry : *port.gids) {
    if (entry.index == index) return &entry;
  }
  return nullptr;
}

}  // namespace

int MaxWr(const Device& device, const RdmaOptions& options) {
  const ibv_device_attr& limits = device.limits();
  // A receive more for each pair, which is flushed too.
  const int completions = limits.max_cqe / options.num_qp - 1;
  return std::max(std::min({options.max_wr, limits.max_qp_wr, completions}),
                  static_cast<int>(SendQueue::kMinDepth));
}

absl::StatusOr<std::unique_ptr<Connection>> MakeConnection(
    NicUnit& nic, const RdmaOptions& options, EndpointStore::Place place,
    DeviceWorker::Client& client) {
  // No event tells of a new MTU.
  TE_RETURN_IF_ERROR(nic.device->Refresh());
  const Device& device = *nic.device;
  const ibv_device_attr& limits = device.limits();
  auto connection = std::make_unique<Connection>();
  connection->place = std::move(place);
  connection->limits = {
      .max_wr = static_cast<uint32_t>(MaxWr(device, options)),
      .max_sge = Cap(options.max_sge, limits.max_sge),
      .max_inline = static_cast<uint32_t>(options.max_inline)};
  connection->max_message_bytes = device.port().max_message_bytes;
  // So that a slice always fits into a queue.
  if (connection->max_message_bytes < kMaxSliceBytes / SendQueue::kMinDepth) {
    return absl::FailedPreconditionError(
        absl::StrCat(device.name(), " moves ", connection->max_message_bytes,
                     " bytes at once, too few for te"));
  }
  const auto pairs = static_cast<uint32_t>(options.num_qp);
  const uint32_t entries = pairs * (connection->limits.max_wr + 1);
  if (entries > static_cast<uint32_t>(limits.max_cqe)) {
    return absl::InvalidArgumentError(absl::StrCat(
        device.name(), " has completion queues of ", limits.max_cqe,
        " entries at most, too few for num_qp ", pairs,
        ", which needs at least ", entries, ": lower num_qp"));
  }
  TE_ASSIGN_OR_RETURN(connection->completions,
                      nic.worker->MakeQueue(static_cast<int>(entries), client));
  for (uint32_t i = 0; i < pairs; ++i) {
    absl::StatusOr<QueuePair> pair =
        QueuePair::Create(device, connection->completions.get(),
                          options.pkey_index, connection->limits);
    if (!pair.ok()) {
      DropConnection(nic, std::move(connection));
      return pair.status();
    }
    connection->queues.push_back(
        std::make_unique<SendQueue>(*std::move(pair), connection->limits, i));
  }
  return connection;
}

void DropConnection(NicUnit& nic, std::unique_ptr<Connection> connection) {
  connection->queues.clear();
  nic.worker->Drop(std::move(connection->completions));
}

EndpointOffer OfferOf(const NicUnit& nic, const Connection& connection,
                      const RdmaOptions& options) {
  const Port port = nic.device->port();
  EndpointOffer offer = {
      .device = nic.device->name(),
      .port = port.nic,
      .mtu = options.mtu ? std::min(*options.mtu, port.mtu) : port.mtu,
      .read_depth = static_cast<int>(Cap(
          options.max_read_depth, nic.device->limits().max_qp_init_rd_atom))};
  if (options.gid_index) {
    // The user's word: the peer must not choose another.
    auto& gids = *offer.port.gids;
    gids.erase(std::remove_if(gids.begin(), gids.end(),
                              [&](const GidEntry& entry) {
                                return entry.index != *options.gid_index;
                              }),
               gids.end());
  }
  for (const auto& queue : connection.queues) {
    offer.queue_pairs.push_back(queue->pair().address());
  }
  return offer;
}

Path PathTo(const EndpointOffer& remote, const std::optional<int>& gid_index,
            const RdmaOptions& options, int local_mtu) {
  Path path = {.by_gid = gid_index.has_value(),
               .local_gid_index = gid_index.value_or(0),
               .remote_lid = remote.port.lid,
               .mtu = std::min(remote.mtu, local_mtu),
               .reads_sent = remote.read_depth,
               .service_level = options.service_level,
               .traffic_class = options.traffic_class,
               .ack_timeout = options.ack_timeout,
               .retry_count = options.retry_count};
  if (options.mtu) path.mtu = std::min(path.mtu, *options.mtu);
  if (remote.port.gids && !remote.port.gids->empty()) {
    path.remote_gid = remote.port.gids->front().gid;
  }
  return path;
}

absl::Status Connect(const NicUnit& nic, const HandshakeResponse& response,
                     const RdmaOptions& options, Connection& connection) {
  if (!response.offer) {
    return absl::InvalidArgumentError("the peer's answer has no queue pairs");
  }
  const EndpointOffer& remote = *response.offer;
  const bool has_gid = remote.port.gids && !remote.port.gids->empty();
  if (remote.queue_pairs.size() != connection.queues.size() ||
      (response.client_gid_index && !has_gid)) {
    return absl::InvalidArgumentError(
        "the peer's answer has another number of queue pairs, or no GID");
  }
  const Port local = nic.device->port();
  const Path path =
      PathTo(remote, response.client_gid_index, options, local.mtu);
  const std::string description = absl::StrCat(
      DescribeEnd(nic.device->name(), local.nic, local.mtu,
                  response.client_gid_index),
      " to ",
      DescribeEnd(remote.device, remote.port, remote.mtu,
                  has_gid ? std::optional<int>(remote.port.gids->front().index)
                          : std::nullopt),
      ", path MTU ", path.mtu);
  for (size_t i = 0; i < connection.queues.size(); ++i) {
    const absl::Status status = connection.queues[i]->pair().Connect(
        *nic.device, remote.queue_pairs[i], path);
    if (!status.ok()) {
      return absl::Status(status.code(),
                          absl::StrCat(description, ": ", status.message()));
    }
  }
  connection.description = description;
  connection.remote_nic = response.server_nic;
  connection.remote_nics = response.nics;
  return absl::OkStatus();
}

std::string DescribeEnd(absl::string_view device, const NicPort& port, int mtu,
                        const std::optional<int>& gid_index) {
  std::string text = absl::StrCat(device, " port ", port.number, " (",
                                  PortStateName(port.state), ", MTU ", mtu);
  const GidEntry* const gid = gid_index ? FindGid(port, *gid_index) : nullptr;
  if (gid != nullptr) {
    absl::StrAppend(&text, ", GID ", gid->index, " ", gid->gid.ToString());
  } else {
    absl::StrAppend(&text, ", LID ", port.lid);
  }
  return text + ")";
}

}  // namespace te::rdma
