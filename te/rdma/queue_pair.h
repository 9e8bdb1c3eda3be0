#ifndef TE_RDMA_QUEUE_PAIR_H_
#define TE_RDMA_QUEUE_PAIR_H_

#include <cstdint>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "te/rdma/device.h"
#include "te/rdma/verbs/objects.h"
#include "te/topology/gid.h"

namespace te::rdma {

// What a queue pair holds. A value.
struct QueuePairLimits {
  uint32_t max_wr = 1;
  uint32_t max_sge = 1;
  uint32_t max_inline = 0;
};

// How packets get to the other port, and how both ends treat them. A value.
struct Path {
  // By GID, with a global route header; otherwise by LID.
  bool by_gid = true;
  int local_gid_index = 0;
  Gid remote_gid;
  uint16_t remote_lid = 0;
  // Bytes of a packet.
  int mtu = 0;
  // RDMA READs under way, of this end and of the other one.
  int reads_sent = 1;
  int reads_served = 1;
  int service_level = 0;
  int traffic_class = 0;
  int ack_timeout = 14;
  int retry_count = 7;
};

// One end of a connection: a number on its device, and where its packets begin
// to count (24 bits each). A value.
struct QueuePairAddress {
  uint32_t number = 0;
  uint32_t first_psn = 0;

  friend bool operator==(const QueuePairAddress&,
                         const QueuePairAddress&) = default;
};

// A reliable connection's queue pair (IBV_QPT_RC). Goes before its completion
// queue and its device. Thread-compatible, but for Break.
class QueuePair {
 public:
  // In the state INIT. It has no more than `limits`, which become what it has:
  // a device may not send inline at all.
  static absl::StatusOr<QueuePair> Create(const Device& device, ibv_cq* queue,
                                          int pkey_index,
                                          QueuePairLimits& limits);

  QueuePairAddress address() const {
    return {.number = object_->qp_num, .first_psn = first_psn_};
  }
  ibv_qp* get() const { return object_.get(); }

  // To RTR and on to RTS, once.
  absl::Status Connect(const Device& device, const QueuePairAddress& remote,
                       const Path& path);

  // To ERR: what is posted completes with an error, in order. Thread-safe.
  absl::Status Break(const Device& device) const;

 private:
  QueuePair(QueuePairObject object, uint32_t first_psn)
      : object_(std::move(object)), first_psn_(first_psn) {}

  QueuePairObject object_;
  uint32_t first_psn_;
};

}  // namespace te::rdma

#endif  // TE_RDMA_QUEUE_PAIR_H_
