// The control verbs of queue pairs.

#include <cerrno>
#include <cstdint>

#include "te/base/mutex.h"
#include "te/rdma/emulated/emulated_context.h"
#include "te/rdma/emulated/emulated_device_spec.h"
#include "te/rdma/emulated/emulated_qp.h"
#include "te/rdma/emulated/emulated_verbs.h"
#include "te/rdma/emulated/memory_table.h"
#include "te/rdma/emulated/qp_transitions.h"

namespace te::rdma::emulated {
namespace {

constexpr uint16_t kFirstMulticastLid = 0xc000;

// 0 if the device takes a queue pair like this, else an errno.
int CheckNewQp(const DeviceState& device, const ibv_pd* pd,
               const ibv_qp_init_attr& init) {
  if (init.qp_type != IBV_QPT_RC) return EOPNOTSUPP;
  if (init.send_cq == nullptr || init.recv_cq == nullptr ||
      init.srq != nullptr || init.send_cq->context != pd->context ||
      init.recv_cq->context != pd->context) {
    return EINVAL;
  }
  const auto max_wr = static_cast<uint32_t>(device.spec.max_qp_wr);
  const auto max_sge = static_cast<uint32_t>(device.spec.max_sge);
  if (init.cap.max_send_wr > max_wr || init.cap.max_recv_wr > max_wr ||
      init.cap.max_send_sge > max_sge || init.cap.max_recv_sge > max_sge ||
      init.cap.max_inline_data > device.spec.max_inline_data) {
    return EINVAL;
  }
  if (device.qps.size() >= static_cast<size_t>(device.spec.max_qp)) {
    return ENOMEM;
  }
  return 0;
}

// 0 if a port can send with this address vector, else EINVAL.
int CheckRoute(const EmulatedPortSpec& port, const ibv_ah_attr& route) {
  const bool ethernet = port.link_layer == IBV_LINK_LAYER_ETHERNET;
  // IBV_QPF_GRH_REQUIRED: man 3 ibv_modify_qp.
  if (ethernet && route.is_global == 0) return EINVAL;
  if (!ethernet && (route.dlid == 0 || route.dlid >= kFirstMulticastLid)) {
    return EINVAL;
  }
  if (route.is_global != 0 && FindGid(port, route.grh.sgid_index) == nullptr) {
    return EINVAL;
  }
  return 0;
}

int CheckAgainstDevice(EmulatedQp& qp, const ibv_qp_attr& attr, int mask) {
  const auto given = [mask](int flag) { return (mask & flag) != 0; };
  DeviceState& device = qp.device;
  if (given(IBV_QP_PKEY_INDEX) && attr.pkey_index != 0) return EINVAL;
  if (given(IBV_QP_ACCESS_FLAGS) &&
      MemoryTable::CheckAccessFlags(attr.qp_access_flags |
                                    IBV_ACCESS_LOCAL_WRITE) != 0) {
    return EINVAL;
  }
  const int max_rd_atom = device.spec.max_qp_rd_atom;
  if ((given(IBV_QP_MAX_QP_RD_ATOMIC) && attr.max_rd_atomic > max_rd_atom) ||
      (given(IBV_QP_MAX_DEST_RD_ATOMIC) &&
       attr.max_dest_rd_atomic > max_rd_atom)) {
    return EINVAL;
  }
  const int port_number = given(IBV_QP_PORT) ? attr.port_num : qp.attr.port_num;
  const EmulatedPortSpec* const port = device.port(port_number);
  if (given(IBV_QP_PORT) && port == nullptr) return EINVAL;
  if (given(IBV_QP_PATH_MTU) && attr.path_mtu > port->active_mtu) return EINVAL;
  if (!given(IBV_QP_AV)) return 0;
  if (attr.ah_attr.port_num != port_number) return EINVAL;
  return CheckRoute(*port, attr.ah_attr);
}

void Apply(const ibv_qp_attr& from, int mask, ibv_qp_attr& to) {
  const auto given = [mask](int flag) { return (mask & flag) != 0; };
  if (given(IBV_QP_ACCESS_FLAGS)) to.qp_access_flags = from.qp_access_flags;
  if (given(IBV_QP_PKEY_INDEX)) to.pkey_index = from.pkey_index;
  if (given(IBV_QP_PORT)) to.port_num = from.port_num;
  if (given(IBV_QP_AV)) to.ah_attr = from.ah_attr;
  if (given(IBV_QP_PATH_MTU)) to.path_mtu = from.path_mtu;
  if (given(IBV_QP_TIMEOUT)) to.timeout = from.timeout;
  if (given(IBV_QP_RETRY_CNT)) to.retry_cnt = from.retry_cnt;
  if (given(IBV_QP_RNR_RETRY)) to.rnr_retry = from.rnr_retry;
  if (given(IBV_QP_RQ_PSN)) to.rq_psn = from.rq_psn;
  if (given(IBV_QP_SQ_PSN)) to.sq_psn = from.sq_psn;
  if (given(IBV_QP_MAX_QP_RD_ATOMIC)) to.max_rd_atomic = from.max_rd_atomic;
  if (given(IBV_QP_MAX_DEST_RD_ATOMIC)) {
    to.max_dest_rd_atomic = from.max_dest_rd_atomic;
  }
  if (given(IBV_QP_MIN_RNR_TIMER)) to.min_rnr_timer = from.min_rnr_timer;
  if (given(IBV_QP_DEST_QPN)) to.dest_qp_num = from.dest_qp_num;
}

}  // namespace

ibv_qp* EmulatedVerbs::CreateQp(ibv_pd* pd, ibv_qp_init_attr* init) {
  MutexLock lock(wire_.mutex());
  DeviceState& device = *ContextOf(pd->context).state;
  int error = Admit(&device);
  if (error == 0) error = CheckNewQp(device, pd, *init);
  if (error != 0) {
    errno = error;
    return nullptr;
  }
  return &wire_.AddQp(device, pd, *init);
}

int EmulatedVerbs::ModifyQp(ibv_qp* handle, ibv_qp_attr* attr, int mask) {
  EmulatedQp& qp = QpOf(handle);
  MutexLock post_lock(qp.post_mutex);
  MutexLock lock(wire_.mutex());
  if (const int error = Admit(&qp.device); error != 0) return error;
  const ibv_qp_state from = qp.current;
  const ibv_qp_state to = (mask & IBV_QP_STATE) != 0 ? attr->qp_state : from;
  if ((mask & IBV_QP_CUR_STATE) != 0 && attr->cur_qp_state != from) {
    return EINVAL;
  }
  int error = CheckTransition(from, to, mask);
  if (error == 0) error = CheckRanges(*attr, mask);
  if (error == 0) error = CheckAgainstDevice(qp, *attr, mask);
  if (error != 0) return error;

  Apply(*attr, mask, qp.attr);
  if (to == IBV_QPS_RESET) {
    wire_.Reset(qp);
  } else if (to == IBV_QPS_ERR) {
    wire_.MoveToError(qp);
  } else {
    qp.current = to;
    wire_.BumpEpoch();
    wire_.Start(qp, wire_.Now());
    // A request is carried out in one go, so none is half done.
    if ((mask & IBV_QP_EN_SQD_ASYNC_NOTIFY) != 0 &&
        attr->en_sqd_async_notify != 0) {
      RaiseQpEvent(qp, IBV_EVENT_SQ_DRAINED);
    }
  }
  if ((mask & IBV_QP_STATE) != 0) qp.state = to;
  return 0;
}

int EmulatedVerbs::QueryQp(ibv_qp* handle, ibv_qp_attr* attr, int /*mask*/,
                           ibv_qp_init_attr* init_attr) {
  MutexLock lock(wire_.mutex());
  EmulatedQp& qp = QpOf(handle);
  if (const int error = Admit(&qp.device); error != 0) return error;
  *attr = qp.attr;
  attr->qp_state = qp.current;
  attr->cur_qp_state = qp.current;
  attr->path_mig_state = IBV_MIG_MIGRATED;
  attr->cap = qp.caps;
  *init_attr = {};
  init_attr->qp_context = qp.qp_context;
  init_attr->send_cq = qp.send_cq;
  init_attr->recv_cq = qp.recv_cq;
  init_attr->cap = qp.caps;
  init_attr->qp_type = qp.qp_type;
  init_attr->sq_sig_all = qp.signal_all ? 1 : 0;
  qp.state = qp.current;
  return 0;
}

int EmulatedVerbs::DestroyQp(ibv_qp* handle) {
  EmulatedQp& qp = QpOf(handle);
  auto& events = ContextOf(qp.context).async_events;
  const MonotonicTime deadline = RealClock().Now() + kAcknowledgementPatience;
  do {
    MutexLock lock(wire_.mutex());
    if (!events.Remove(&qp)) continue;
    wire_.RemoveQp(qp);
    return 0;
  } while (events.AwaitAcknowledgements(&qp, deadline));
  return EBUSY;
}

}  // namespace te::rdma::emulated
