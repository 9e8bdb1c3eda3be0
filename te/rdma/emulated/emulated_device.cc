#include "te/rdma/emulated/emulated_device.h"

#include <infiniband/verbs.h>

#include <algorithm>
#include <vector>

#include "glog/logging.h"
#include "te/base/mutex.h"
#include "te/rdma/emulated/emulated_qp.h"

namespace te::rdma::emulated {

std::ostream& operator<<(std::ostream& out, const LiveObjects& live) {
  return out << live.contexts << " contexts, " << live.pds << " PDs, "
             << live.mrs << " MRs, " << live.channels << " channels, "
             << live.cqs << " CQs, " << live.qps << " QPs";
}

void EmulatedDevice::SetPortActive(int port, bool active) {
  MutexLock lock(wire_.mutex());
  CHECK(state_.port(port) != nullptr) << port;
  if (state_.port(port)->active == active) return;
  state_.port(port)->active = active;
  wire_.BumpEpoch();
  state_.RaisePortEvent(active ? IBV_EVENT_PORT_ACTIVE : IBV_EVENT_PORT_ERR,
                        port);
}

void EmulatedDevice::SetLid(int port, uint16_t lid) {
  MutexLock lock(wire_.mutex());
  CHECK(state_.port(port) != nullptr) << port;
  state_.port(port)->lid = lid;
  wire_.BumpEpoch();
  state_.RaisePortEvent(IBV_EVENT_LID_CHANGE, port);
}

void EmulatedDevice::SetMtu(int port, ibv_mtu mtu) {
  MutexLock lock(wire_.mutex());
  CHECK(state_.port(port) != nullptr) << port;
  state_.port(port)->active_mtu = mtu;
}

void EmulatedDevice::SetGid(int port, const EmulatedGid& gid) {
  MutexLock lock(wire_.mutex());
  CHECK(state_.port(port) != nullptr) << port;
  std::vector<EmulatedGid>& gids = state_.port(port)->gids;
  const auto at = std::lower_bound(
      gids.begin(), gids.end(), gid,
      [](const auto& a, const auto& b) { return a.index < b.index; });
  if (at != gids.end() && at->index == gid.index) {
    *at = gid;
  } else {
    gids.insert(at, gid);
  }
  wire_.BumpEpoch();
  state_.RaisePortEvent(IBV_EVENT_GID_CHANGE, port);
}

void EmulatedDevice::RemoveGid(int port, uint32_t index) {
  MutexLock lock(wire_.mutex());
  CHECK(state_.port(port) != nullptr) << port;
  std::vector<EmulatedGid>& gids = state_.port(port)->gids;
  std::erase_if(gids,
                [index](const EmulatedGid& g) { return g.index == index; });
  wire_.BumpEpoch();
  state_.RaisePortEvent(IBV_EVENT_GID_CHANGE, port);
}

void EmulatedDevice::SetLossProbability(double probability) {
  MutexLock lock(wire_.mutex());
  state_.loss_probability = probability;
  wire_.BumpEpoch();
}

void EmulatedDevice::SetBandwidth(uint64_t bytes_per_second) {
  MutexLock lock(wire_.mutex());
  state_.spec.bytes_per_second = bytes_per_second;
}

void EmulatedDevice::FailQp(uint32_t qp_num) {
  MutexLock lock(wire_.mutex());
  EmulatedQp* const qp = state_.FindQp(qp_num);
  CHECK(qp != nullptr) << qp_num;
  RaiseQpEvent(*qp, IBV_EVENT_QP_FATAL);
  wire_.MoveToError(*qp);
}

void EmulatedDevice::Fail() {
  MutexLock lock(wire_.mutex());
  if (state_.fatal) return;
  state_.fatal = true;
  wire_.BumpEpoch();
  ibv_async_event event = {};
  event.event_type = IBV_EVENT_DEVICE_FATAL;
  state_.Raise(event);
  for (auto& [number, qp] : state_.qps) wire_.MoveToError(*qp);
}

LiveObjects EmulatedDevice::live_objects() {
  MutexLock lock(wire_.mutex());
  LiveObjects live;
  live.contexts = state_.contexts.size();
  live.pds = state_.pds.size();
  live.mrs = static_cast<int>(state_.mrs.size());
  live.channels = state_.channels.size();
  live.cqs = state_.cqs.size();
  live.qps = static_cast<int>(state_.qps.size());
  return live;
}

}  // namespace te::rdma::emulated
