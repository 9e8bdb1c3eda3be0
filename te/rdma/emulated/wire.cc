#include "te/rdma/emulated/wire.h"

#include <cstring>
#include <utility>

#include "absl/status/statusor.h"
#include "glog/logging.h"
#include "te/rdma/emulated/memory_table.h"

namespace te::rdma::emulated {
namespace {

// Whether packets that one end sends are for the other, by the address vectors
// of both: a packet must go to where the receiver's own packets come from.
// InfiniBand specification volume 1, 9.6.1: checks of packet headers.
bool Reaches(const EmulatedPortSpec& from, const ibv_ah_attr& route,
             const EmulatedPortSpec& to, const ibv_ah_attr& route_back) {
  if (!from.active || !to.active || from.link_layer != to.link_layer) {
    return false;
  }
  if (from.link_layer == IBV_LINK_LAYER_INFINIBAND) {
    if (to.lid != route.dlid) return false;
    if (route.is_global == 0) return true;
  }
  const EmulatedGid* const source = FindGid(from, route.grh.sgid_index);
  const EmulatedGid* const target = FindGid(to, route_back.grh.sgid_index);
  return source != nullptr && target != nullptr &&
         source->type == target->type &&
         memcmp(target->gid.raw, route.grh.dgid.raw, sizeof(target->gid.raw)) ==
             0;
}

bool Receives(const EmulatedQp& qp) {
  return qp.current == IBV_QPS_RTR || qp.current == IBV_QPS_RTS ||
         qp.current == IBV_QPS_SQD;
}

}  // namespace

Wire::Wire(const FabricOptions& options)
    : clock_(*options.clock),
      mode_(options.mode),
      inline_(options.mode == WireMode::kImmediate),
      copy_(options.copy),
      random_(options.seed) {
  CHECK(copy_ || inline_) << "only immediate requests go without copying";
  if (mode_ != WireMode::kThreaded) return;
  CHECK_EQ(options.clock, &RealClock()) << "a thread sleeps by the real clock";
  absl::StatusOr<Thread> thread =
      Thread::Start({.name = "te-emulated"}, [this] { RunThread(); });
  CHECK(thread.ok()) << thread.status();
  thread_ = *std::move(thread);
}

Wire::~Wire() {
  {
    MutexLock lock(mutex_);
    stopping_ = true;
    earlier_timer_.NotifyAll();
  }
  thread_.Join();
}

DeviceState& Wire::AddDevice(std::string host, EmulatedDeviceSpec spec) {
  devices_.push_back(std::make_unique<DeviceState>(
      std::move(host), static_cast<int>(devices_.size()), std::move(spec)));
  BumpEpoch();
  return *devices_.back();
}

EmulatedQp& Wire::AddQp(DeviceState& device, ibv_pd* pd,
                        const ibv_qp_init_attr& init) {
  auto qp = std::make_unique<EmulatedQp>(device, ++last_qp_id_, pd, init);
  do {
    qp->qp_num = device.next_qp_num;
    device.next_qp_num = (device.next_qp_num + 1) & 0xffffff;
  } while (qp->qp_num < 2 || device.FindQp(qp->qp_num) != nullptr);
  ++qp->send().users;
  ++qp->recv().users;
  ++static_cast<EmulatedPd*>(pd)->users;
  EmulatedQp& added = *qp;
  qps_by_id_[added.id] = &added;
  device.qps[added.qp_num] = std::move(qp);
  return added;
}

void Wire::RemoveQp(EmulatedQp& qp) {
  BumpEpoch();
  qp.send().Purge(qp.send_freed);
  qp.recv().Purge(qp.recv_freed);
  --qp.send().users;
  --qp.recv().users;
  --static_cast<EmulatedPd*>(qp.pd)->users;
  qps_by_id_.erase(qp.id);
  qp.device.qps.erase(qp.qp_num);
}

void Wire::set_script(FaultScript script) {
  script_ = std::move(script);
  BumpEpoch();
}

void Wire::Reset(EmulatedQp& qp) {
  BumpEpoch();
  qp.current = IBV_QPS_RESET;
  qp.attr = {};
  qp.timer = 0;
  qp.wedged = false;
  qp.send_queue.Clear();
  qp.recv_queue.Clear();
  qp.send().Purge(qp.send_freed);
  qp.recv().Purge(qp.recv_freed);
  qp.send_freed = qp.send_posted;
  qp.recv_freed = qp.recv_posted;
}

EmulatedQp* Wire::PeerOf(EmulatedQp& qp) {
  const uint64_t epoch = epoch_.load();
  if (qp.peer_epoch != epoch) {
    qp.peer = FindPeer(qp);
    qp.peer_epoch = epoch;
  }
  return qp.peer;
}

EmulatedQp* Wire::FindPeer(EmulatedQp& qp) {
  const EmulatedPortSpec* const from = qp.device.port(qp.attr.port_num);
  if (qp.device.fatal || from == nullptr) return nullptr;
  for (const std::unique_ptr<DeviceState>& device : devices_) {
    if (device->fatal) continue;
    EmulatedQp* const peer = device->FindQp(qp.attr.dest_qp_num);
    if (peer == nullptr || !Receives(*peer)) continue;
    const EmulatedPortSpec* const to = device->port(peer->attr.port_num);
    const ibv_ah_attr& there = qp.attr.ah_attr;
    const ibv_ah_attr& back = peer->attr.ah_attr;
    if (Reaches(*from, there, *to, back) && Reaches(*to, back, *from, there) &&
        peer->attr.dest_qp_num == qp.qp_num &&
        peer->attr.rq_psn == qp.attr.sq_psn) {
      return peer;
    }
  }
  return nullptr;
}

bool Wire::Lose(double probability) {
  if (probability <= 0) return false;
  return std::uniform_real_distribution<double>()(random_) < probability;
}

void Wire::SetTimer(EmulatedQp& qp, MonotonicTime due) {
  const bool first = due < timers_.next_due();
  qp.timer = timers_.Add(due, qp.id);
  timers_waiting_ = true;
  if (first) earlier_timer_.NotifyOne();
}

bool Wire::RunOne(MonotonicTime now) {
  TimerQueue::Timer timer;
  if (!timers_.PopDue(now, &timer)) return false;
  timers_waiting_ = !timers_.empty();
  const auto found = qps_by_id_.find(timer.object);
  if (found == qps_by_id_.end()) return true;
  EmulatedQp& qp = *found->second;
  if (qp.timer != timer.id) return true;
  qp.timer = 0;
  // What follows counts from the time that this was due at, however late it is:
  // so what a test sees does not depend on the steps of its clock.
  Advance(qp, timer.due);
  return true;
}

int Wire::Run() {
  MutexLock lock(mutex_);
  const MonotonicTime now = clock_.Now();
  int count = 0;
  while (RunOne(now)) ++count;
  return count;
}

MonotonicTime Wire::next_due() {
  MutexLock lock(mutex_);
  return timers_.next_due();
}

void Wire::RunThread() {
  while (true) {
    // Taken anew each time, so that those who post get a turn.
    MutexLock lock(mutex_);
    if (stopping_) return;
    if (!RunOne(clock_.Now())) {
      earlier_timer_.WaitUntil(mutex_, timers_.next_due());
    }
  }
}

}  // namespace te::rdma::emulated
