#include "te/rdma/rdma_transport.h"

#include <algorithm>
#include <chrono>
#include <numeric>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "glog/logging.h"
#include "te/base/clock.h"
#include "te/base/mutex.h"
#include "te/base/stale_peer.h"
#include "te/base/status_macros.h"
#include "te/base/task_queue.h"
#include "te/rdma/connection.h"
#include "te/rdma/endpoint_store.h"
#include "te/rdma/handshake.h"
#include "te/rdma/memory_regions.h"
#include "te/rdma/nic_unit.h"
#include "te/rdma/rdma_session.h"
#include "te/rdma/responder_table.h"
#include "te/topology/gid_choice.h"
#include "te/topology/nic.h"
#include "te/transport/local_memory.h"

namespace te {
namespace rdma {
namespace {

// Handshakes with so many peers that do not answer delay no others. Their
// threads sleep otherwise.
constexpr int kHandshakeThreads = 16;
constexpr int kFarewellThreads = 2;
// What peers that do not answer may delay the end.
constexpr Duration kFarewell = std::chrono::seconds(1);
constexpr Duration kLongestSweep = std::chrono::milliseconds(100);

void LogCap(const Device& device, absl::string_view option, int wanted,
            int limit) {
  LOG_IF(WARNING, wanted > limit)
      << device.name() << ": " << option << " is " << limit << " instead of "
      << wanted << ", which is more than the device can do";
}

// How the GID is chosen, or which one it is.
std::string DescribeGid(const Port& port, const RdmaOptions& options) {
  if (!options.gid_index) return "its GID is chosen for each peer";
  const std::vector<GidEntry> none;
  for (const GidEntry& entry : port.nic.gids ? *port.nic.gids : none) {
    if (entry.index != *options.gid_index) continue;
    return absl::StrCat("GID ", entry.index, " ", entry.gid.ToString(), " (",
                        GidTypeName(entry.type), "), as gid_index says");
  }
  // Of a port that is down.
  return absl::StrCat("GID ", *options.gid_index, ", as gid_index says");
}

void LogDevice(const Device& device, const RdmaOptions& options) {
  LOG(INFO) << "RDMA device " << device.Describe() << ": "
            << DescribeGid(device.port(), options);
  const ibv_device_attr& limits = device.limits();
  LogCap(device, "max_wr", options.max_wr, MaxWr(device, options));
  LogCap(device, "max_sge", options.max_sge, limits.max_sge);
  LogCap(device, "max_read_depth", options.max_read_depth,
         limits.max_qp_init_rd_atom);
}

// Others are about a single queue, whose completions tell of it too.
bool ConcernsDevice(ibv_event_type type) {
  return type != IBV_EVENT_CQ_ERR && type != IBV_EVENT_QP_FATAL &&
         type != IBV_EVENT_QP_REQ_ERR && type != IBV_EVENT_QP_ACCESS_ERR;
}

class RdmaTransport final : public Transport {
 public:
  static absl::StatusOr<std::unique_ptr<Transport>> Create(
      const RdmaOptions& options, const Incarnation& self, RdmaParts parts) {
    TE_RETURN_IF_ERROR(options.Validate());
    std::unique_ptr<RdmaTransport> transport(
        new RdmaTransport(options, self, std::move(parts)));
    TE_RETURN_IF_ERROR(transport->OpenNics());
    TE_ASSIGN_OR_RETURN(transport->local_tasks_,
                        TaskQueue::Create("te-rdma-local", 1));
    TE_ASSIGN_OR_RETURN(transport->handshakes_,
                        TaskQueue::Create("te-rdma-hs", kHandshakeThreads));
    TE_ASSIGN_OR_RETURN(transport->farewells_,
                        TaskQueue::Create("te-rdma-bye", kFarewellThreads));
    transport->ScheduleSweep();
    return transport;
  }

  ~RdmaTransport() override {
    // Sessions that were closed say goodbye to their peers.
    if (farewells_ != nullptr) {
      farewells_->Drain(DeadlineAfter(RealClock().Now(), kFarewell));
    }
    // Their tasks use all else, and each other's queues.
    for (TaskQueue* queue :
         {handshakes_.get(), local_tasks_.get(), farewells_.get()}) {
      if (queue != nullptr) queue->Stop();
    }
  }

  absl::string_view name() const override { return kRdmaTransportName; }

  absl::StatusOr<Rails> Connect(const PeerIdentity& peer, uint64_t rail_id,
                                std::shared_ptr<PeerChannel> channel,
                                MonotonicTime deadline) override {
    TE_ASSIGN_OR_RETURN(
        const std::shared_ptr<RdmaSession> session,
        RdmaSession::Create({.options = options_,
                             .nics = nics_,
                             .matrix = parts_.matrix,
                             .memory = *memory_,
                             .endpoints = endpoints_,
                             .local_tasks = *local_tasks_,
                             .handshakes = *handshakes_,
                             .farewells = *farewells_},
                            peer, rail_id, std::move(channel), deadline));
    MutexLock lock(mutex_);
    sessions_.erase(std::remove_if(sessions_.begin(), sessions_.end(),
                                   [](const auto& s) { return s.expired(); }),
                    sessions_.end());
    sessions_.push_back(session);
    return session->rails();
  }

  absl::Status Fence(const PeerIdentity& peer, uint64_t rail_id,
                     PeerChannel& channel, MonotonicTime deadline) override {
    return RdmaSession::Fence(peer, rail_id, channel, deadline);
  }

  absl::StatusOr<std::string> Accept(const Incarnation& client,
                                     absl::string_view bytes,
                                     MonotonicTime deadline) override {
    TE_ASSIGN_OR_RETURN(const HandshakeRequest request, ParseRequest(bytes));
    if (request.server != self_) {
      return StalePeerError(absl::StrCat("the rdma handshake is for engine ",
                                         request.server.ToString(),
                                         ", this one is ", self_.ToString()));
    }
    TE_ASSIGN_OR_RETURN(const HandshakeResponse response,
                        responders_->Answer(client, request, deadline));
    return Serialize(response);
  }

  void DisconnectPeers() override { responders_->Clear(); }

  absl::StatusOr<std::string> RegisterMemory(
      const LocalMemory& memory) override {
    return memory_->Register(memory);
  }
  // At once, although other transports may have to wait for their peers.
  absl::Status RevokeAccess(uint32_t slot,
                            MonotonicTime /*deadline*/) override {
    memory_->Unregister(slot);
    return absl::OkStatus();
  }
  void UnregisterMemory(uint32_t slot) override { memory_->Unregister(slot); }

 private:
  RdmaTransport(const RdmaOptions& options, const Incarnation& self,
                RdmaParts parts)
      : options_(options),
        self_(self),
        parts_(std::move(parts)),
        endpoints_(static_cast<size_t>(options.max_endpoints)) {}

  absl::Status OpenNics() {
    constexpr size_t kMostNics = kMaxKeyBytes / kRemoteKeyBytes;
    if (parts_.matrix.nics().size() > kMostNics) {
      return absl::InvalidArgumentError(absl::StrCat(
          parts_.matrix.nics().size(), " RDMA devices are chosen; at most ",
          kMostNics, " can be used at a time"));
    }
    std::vector<Device*> devices;
    std::vector<std::string> unusable;
    // In the order of their names, which a peer's have too: the matrix begins
    // with another one in each process, and lanes go from NIC i to NIC i.
    std::vector<uint16_t> order(parts_.matrix.nics().size());
    std::iota(order.begin(), order.end(), uint16_t{0});
    std::sort(order.begin(), order.end(), [this](uint16_t a, uint16_t b) {
      return parts_.matrix.nics()[a] < parts_.matrix.nics()[b];
    });
    for (const uint16_t index : order) {
      TE_RETURN_IF_ERROR(OpenNic(index));
      devices.push_back(nics_.back()->device.get());
      if (const absl::Status health = devices.back()->health(); !health.ok()) {
        unusable.emplace_back(health.message());
      }
    }
    if (unusable.size() == nics_.size()) {
      return absl::UnavailableError(
          unusable.empty() ? "there is no RDMA device that can be used"
                           : absl::StrCat("no RDMA device can be used: ",
                                          absl::StrJoin(unusable, "; ")));
    }
    for (const std::string& why : unusable) LOG(WARNING) << why;
    memory_ = std::make_unique<MemoryRegions>(
        std::move(devices), options_.relaxed_ordering, parts_.max_buffers);
    responders_ = std::make_unique<ResponderTable>(nics_, options_, endpoints_);
    return absl::OkStatus();
  }

  absl::Status OpenNic(uint16_t matrix_index) {
    const std::string& name = parts_.matrix.nics()[matrix_index];
    auto nic = std::make_unique<NicUnit>();
    nic->matrix_index = matrix_index;
    TE_ASSIGN_OR_RETURN(nic->device,
                        Device::Open(parts_.verbs, name, options_.port));
    TE_RETURN_IF_ERROR(CheckGidIndex(*nic->device));
    TE_RETURN_IF_ERROR(CheckPkeyIndex(*nic->device));
    LogDevice(*nic->device, options_);
    TE_ASSIGN_OR_RETURN(
        nic->worker,
        DeviceWorker::Create(*nic->device,
                             {.name = absl::StrCat("te-rdma-", nics_.size()),
                              .cpus = parts_.cpus[name],
                              .spin = options_.spin},
                             [this, unit = nic.get()](ibv_event_type type) {
                               if (!ConcernsDevice(type)) return;
                               for (const auto& session : LiveSessions())
                                 session->OnDeviceChange(*unit);
                             }));
    nics_.push_back(std::move(nic));
    return absl::OkStatus();
  }

  // A wrong one would only be noticed by peers, to whom it looks as if there
  // were no GID at all. The table of a port that is down may be empty.
  absl::Status CheckGidIndex(const Device& device) const {
    if (!options_.gid_index || !device.health().ok()) return absl::OkStatus();
    const GidEnd local = {.device = device.name(),
                          .port = device.port().nic,
                          .forced_index = options_.gid_index};
    const absl::Status status = ChooseGids(local, {}).status();
    return absl::IsNotFound(status) ? status : absl::OkStatus();
  }

  // Else each attempt to connect would fail, with no more than EINVAL. Every
  // port has the first entry, whatever it says of its table.
  absl::Status CheckPkeyIndex(const Device& device) const {
    const int pkeys = device.port().pkeys;
    if (options_.pkey_index == 0 || options_.pkey_index < pkeys) {
      return absl::OkStatus();
    }
    return absl::NotFoundError(absl::StrCat(
        "the P_Key index ", options_.pkey_index,
        " (pkey_index) is not in the "
        "table of ",
        device.name(), " port ", device.port_number(), ", whose length is ",
        pkeys, "; give one from 0 to ", std::max(pkeys, 1) - 1));
  }

  std::vector<std::shared_ptr<RdmaSession>> LiveSessions() {
    std::vector<std::shared_ptr<RdmaSession>> alive;
    MutexLock lock(mutex_);
    for (const std::weak_ptr<RdmaSession>& weak : sessions_) {
      if (auto session = weak.lock()) alive.push_back(std::move(session));
    }
    return alive;
  }

  void ScheduleSweep() {
    const Duration period = std::min(
        {kLongestSweep, options_.work_timeout / 4, options_.keepalive / 4});
    local_tasks_->Schedule(DeadlineAfter(RealClock().Now(), period), [this] {
      Sweep();
      ScheduleSweep();
    });
  }

  void Sweep() {
    const MonotonicTime now = RealClock().Now();
    for (const auto& session : LiveSessions()) session->Sweep(now);
    responders_->ProbePeers(now);
  }

  const RdmaOptions options_;
  const Incarnation self_;
  RdmaParts parts_;
  EndpointStore endpoints_;
  // Used by the threads of nics_, so before them.
  Mutex mutex_;
  std::vector<std::weak_ptr<RdmaSession>> sessions_ ABSL_GUARDED_BY(mutex_);
  // In the order of their names.
  std::vector<std::unique_ptr<NicUnit>> nics_;
  std::unique_ptr<MemoryRegions> memory_;
  std::unique_ptr<ResponderTable> responders_;
  std::unique_ptr<TaskQueue> local_tasks_;
  std::unique_ptr<TaskQueue> handshakes_;
  std::unique_ptr<TaskQueue> farewells_;
};

}  // namespace
}  // namespace rdma

absl::StatusOr<std::unique_ptr<Transport>> CreateRdmaTransport(
    const RdmaOptions& options, const Incarnation& self, RdmaParts parts) {
  return rdma::RdmaTransport::Create(options, self, std::move(parts));
}

}  // namespace te
