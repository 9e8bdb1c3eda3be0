#include "te/rdma/queue_pair.h"

#include <algorithm>
#include <cerrno>
#include <random>
#include <utility>

#include "absl/strings/str_cat.h"
#include "te/base/errno_status.h"
#include "te/base/status_macros.h"

namespace te::rdma {
namespace {

constexpr uint32_t kPsnMask = 0xffffff;
// For packets that must pass routers.
constexpr uint8_t kHopLimit = 64;
// 0.64 ms (man 3 ibv_modify_qp); nothing of te's needs a receive.
constexpr uint8_t kMinRnrTimer = 12;
constexpr uint8_t kRnrRetry = 7;
// So many every device can do.
constexpr uint32_t kFewWorkRequests = 16;

// `hint`: what is known of the cause.
absl::Status Explain(int error, absl::string_view what, const Device& device,
                     absl::string_view hint = "") {
  absl::string_view remedy;
  if (error == ENOMEM) {
    remedy =
        ": out of memory, queue pairs or locked memory (ulimit -l); fewer "
        "endpoints (max_endpoints) or smaller queues (max_wr) need less";
  } else if (error == ETIMEDOUT || error == EHOSTUNREACH) {
    remedy = ": the address of the peer's GID cannot be resolved";
  }
  const absl::Status status = ErrnoToStatus(
      error, absl::StrCat(what, " on ", device.name(), hint, remedy));
  // Of the network, where another attempt may do better: not of the caller's
  // deadline.
  return error == ETIMEDOUT ? absl::UnavailableError(status.message()) : status;
}

ibv_mtu MtuOf(int bytes) {
  return bytes >= 4096   ? IBV_MTU_4096
         : bytes >= 2048 ? IBV_MTU_2048
         : bytes >= 1024 ? IBV_MTU_1024
         : bytes >= 512  ? IBV_MTU_512
                         : IBV_MTU_256;
}

bool CanCreate(const Device& device, ibv_qp_init_attr attr) {
  const QueuePairObject object(device.verbs(),
                               device.verbs().CreateQp(device.pd(), &attr));
  return static_cast<bool>(object);
}

// Which option asks for more than the device can do, if it is one: the limits
// that devices tell do not hold together, as a work request with many pieces
// takes more of the queue. Never max_inline, of which `attr` has nothing.
std::string WhatToLower(const Device& device, const ibv_qp_init_attr& attr) {
  ibv_qp_init_attr shorter = attr;
  shorter.cap.max_send_wr = std::min(attr.cap.max_send_wr, kFewWorkRequests);
  ibv_qp_init_attr narrower = attr;
  narrower.cap.max_send_sge = 1;
  absl::string_view option;
  if (shorter.cap.max_send_wr < attr.cap.max_send_wr &&
      CanCreate(device, shorter)) {
    option = "max_wr";
  } else if (attr.cap.max_send_sge > 1 && CanCreate(device, narrower)) {
    option = "max_sge";
  } else {
    return "";
  }
  return absl::StrCat(", with max_wr ", attr.cap.max_send_wr, " and max_sge ",
                      attr.cap.max_send_sge, "; lower ", option);
}

absl::Status ToInit(const Device& device, ibv_qp* qp, int pkey_index) {
  ibv_qp_attr attr = {};
  attr.qp_state = IBV_QPS_INIT;
  attr.pkey_index = static_cast<uint16_t>(pkey_index);
  attr.port_num = device.port_number();
  // What a peer may do to which memory is said by the memory regions.
  attr.qp_access_flags = IBV_ACCESS_REMOTE_READ | IBV_ACCESS_REMOTE_WRITE;
  const int error = device.verbs().ModifyQp(
      qp, &attr,
      IBV_QP_STATE | IBV_QP_PKEY_INDEX | IBV_QP_PORT | IBV_QP_ACCESS_FLAGS);
  if (error == 0) return absl::OkStatus();
  return Explain(
      error, absl::StrCat("a queue pair to INIT, with pkey_index ", pkey_index),
      device);
}

ibv_ah_attr AddressOf(const Device& device, const Path& path) {
  ibv_ah_attr attr = {};
  attr.port_num = device.port_number();
  attr.sl = static_cast<uint8_t>(path.service_level);
  attr.dlid = path.remote_lid;
  if (path.by_gid) {
    attr.is_global = 1;
    std::copy_n(path.remote_gid.bytes().begin(), sizeof(attr.grh.dgid.raw),
                attr.grh.dgid.raw);
    attr.grh.sgid_index = static_cast<uint8_t>(path.local_gid_index);
    attr.grh.hop_limit = kHopLimit;
    attr.grh.traffic_class = static_cast<uint8_t>(path.traffic_class);
  }
  return attr;
}

}  // namespace

absl::StatusOr<QueuePair> QueuePair::Create(const Device& device, ibv_cq* queue,
                                            int pkey_index,
                                            QueuePairLimits& limits) {
  ibv_qp_init_attr attr = {};
  attr.send_cq = queue;
  attr.recv_cq = queue;
  attr.qp_type = IBV_QPT_RC;
  attr.cap.max_send_wr = limits.max_wr;
  attr.cap.max_send_sge = limits.max_sge;
  attr.cap.max_recv_wr = 1;
  attr.cap.max_recv_sge = 1;
  attr.cap.max_inline_data = limits.max_inline;
  QueuePairObject object(device.verbs(),
                         device.verbs().CreateQp(device.pd(), &attr));
  if (!object && limits.max_inline > 0) {
    attr.cap.max_inline_data = 0;
    object = QueuePairObject(device.verbs(),
                             device.verbs().CreateQp(device.pd(), &attr));
  }
  if (!object) {
    const int error = errno;
    return Explain(error, "ibv_create_qp", device, WhatToLower(device, attr));
  }
  limits.max_inline = std::min(limits.max_inline, attr.cap.max_inline_data);
  TE_RETURN_IF_ERROR(ToInit(device, object.get(), pkey_index));
  std::random_device random;
  return QueuePair(std::move(object), random() & kPsnMask);
}

absl::Status QueuePair::Connect(const Device& device,
                                const QueuePairAddress& remote,
                                const Path& path) {
  ibv_qp_attr attr = {};
  attr.qp_state = IBV_QPS_RTR;
  attr.path_mtu = MtuOf(path.mtu);
  attr.dest_qp_num = remote.number;
  attr.rq_psn = remote.first_psn;
  attr.max_dest_rd_atomic = static_cast<uint8_t>(path.reads_served);
  attr.min_rnr_timer = kMinRnrTimer;
  attr.ah_attr = AddressOf(device, path);
  int error = device.verbs().ModifyQp(
      get(), &attr,
      IBV_QP_STATE | IBV_QP_AV | IBV_QP_PATH_MTU | IBV_QP_DEST_QPN |
          IBV_QP_RQ_PSN | IBV_QP_MAX_DEST_RD_ATOMIC | IBV_QP_MIN_RNR_TIMER);
  if (error != 0) {
    return Explain(
        error,
        absl::StrCat("a queue pair to RTR, with ",
                     path.by_gid
                         ? absl::StrCat("GID index ", path.local_gid_index,
                                        " to ", path.remote_gid.ToString())
                         : absl::StrCat("LID ", path.remote_lid),
                     ", MTU ", path.mtu),
        device);
  }
  attr = {};
  attr.qp_state = IBV_QPS_RTS;
  attr.timeout = static_cast<uint8_t>(path.ack_timeout);
  attr.retry_cnt = static_cast<uint8_t>(path.retry_count);
  attr.rnr_retry = kRnrRetry;
  attr.sq_psn = first_psn_;
  attr.max_rd_atomic = static_cast<uint8_t>(path.reads_sent);
  error = device.verbs().ModifyQp(get(), &attr,
                                  IBV_QP_STATE | IBV_QP_TIMEOUT |
                                      IBV_QP_RETRY_CNT | IBV_QP_RNR_RETRY |
                                      IBV_QP_SQ_PSN | IBV_QP_MAX_QP_RD_ATOMIC);
  if (error == 0) return absl::OkStatus();
  return Explain(error, "a queue pair to RTS", device);
}

absl::Status QueuePair::Break(const Device& device) const {
  ibv_qp_attr attr = {};
  attr.qp_state = IBV_QPS_ERR;
  const int error = device.verbs().ModifyQp(get(), &attr, IBV_QP_STATE);
  if (error == 0) return absl::OkStatus();
  return Explain(error, "a queue pair to ERR", device);
}

}  // namespace te::rdma
