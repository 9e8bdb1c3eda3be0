#ifndef TE_RDMA_RDMA_OPTIONS_H_
#define TE_RDMA_RDMA_OPTIONS_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "absl/status/status.h"
#include "te/base/clock.h"

namespace te {

// As in descriptors, flags and errors.
inline constexpr char kRdmaTransportName[] = "rdma";

// Settings of the verbs transport. What a device cannot do is capped to what it
// can, with a line in the log; what is out of the ranges below is an error.
struct RdmaOptions {
  // The device's port, from 1. Unset: the first that is active.
  std::optional<uint8_t> port;
  // The entry of the GID table to use, 0 to 255. Unset: the one that suits the
  // peer best (te/topology/gid_choice.h).
  std::optional<int> gid_index;
  // The largest packet, in bytes: 256, 512, 1024, 2048 or 4096. Unset: what the
  // ports of both ends allow.
  std::optional<int> mtu;

  // Between a local and a remote NIC: so many queue pairs, each with so many
  // work requests under way. 1 to 64, and 16 to 16384.
  int num_qp = 2;
  int max_wr = 256;
  // Pieces of local memory that one work request gathers or scatters, where the
  // remote memory is contiguous. 1 to 16.
  int max_sge = 4;
  // WRITEs of up to so many bytes travel in the work request itself. 0 to 1024.
  int max_inline = 64;
  // Bytes under way between a local and a remote NIC: what keeps the link busy,
  // and no more, so that other NICs get their share. 64 KiB to 4 GiB.
  uint64_t window_bytes = uint64_t{8} << 20;
  // Endpoints, local and remote NIC pairs with their queue pairs, that this
  // engine keeps at a time, for itself and for peers. 1 to 65536.
  int max_endpoints = 256;
  // RDMA READs under way per queue pair, each way. 1 to 255.
  int max_read_depth = 16;

  // Service level of InfiniBand, or priority of RoCE; 0 to 15.
  int service_level = 0;
  // Traffic class of the GRH, whose upper six bits are the DSCP of RoCE v2.
  int traffic_class = 0;
  // Of InfiniBand partitions: which entry of the P_Key table.
  int pkey_index = 0;

  // A packet that is not acknowledged within 4.096 us * 2^ack_timeout is sent
  // again, retry_count times: with 14 and 7, a peer that cannot be reached is
  // noticed after half a second at the earliest, and mostly some seconds (man 3
  // ibv_modify_qp). 1 to 31, and 0 to 7.
  int ack_timeout = 14;
  int retry_count = 7;
  // A work request that has not completed for so long has failed, whatever the
  // device says: 100 ms to an hour.
  Duration work_timeout = std::chrono::seconds(15);
  // How long a broken queue pair may take to give back its work requests,
  // before it is destroyed.
  Duration flush_timeout = std::chrono::seconds(1);
  // One attempt at setting up an endpoint again, or telling the peer of one
  // that has failed.
  Duration handshake_timeout = std::chrono::seconds(3);
  // Peers that have not been heard of for so long are probed, and dropped if
  // they are gone: 100 ms to an hour.
  Duration keepalive = std::chrono::seconds(10);

  // An endpoint that nothing has gone over for so long is closed, at both ends,
  // until there is something again: a second to a week.
  Duration idle_timeout = std::chrono::minutes(5);

  // How long a worker looks for more completions before it sleeps.
  Duration spin = std::chrono::microseconds(20);
  // Lets the PCIe bus reorder writes into registered memory, where the device
  // knows how: faster on some CPUs. Completions still come after the data.
  bool relaxed_ordering = true;

  // INVALID_ARGUMENT names the option that is out of its range.
  absl::Status Validate() const;
};

}  // namespace te

#endif  // TE_RDMA_RDMA_OPTIONS_H_
