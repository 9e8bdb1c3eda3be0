#ifndef TE_RDMA_EMULATED_EMULATED_DEVICE_SPEC_H_
#define TE_RDMA_EMULATED_EMULATED_DEVICE_SPEC_H_

#include <infiniband/verbs.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "te/base/clock.h"

namespace te::rdma::emulated {

// A valid entry of a port's GID table; indexes that no entry has are empty.
struct EmulatedGid {
  uint32_t index = 0;
  ibv_gid gid = {};
  ibv_gid_type type = IBV_GID_TYPE_ROCE_V2;
  uint32_t interface_index = 0;
};

struct EmulatedPortSpec {
  uint8_t link_layer = IBV_LINK_LAYER_ETHERNET;
  uint16_t lid = 0;  // InfiniBand alone
  ibv_mtu active_mtu = IBV_MTU_4096;
  // As ibv_port_attr codes them: here 4 lanes of 50 Gbit/s, which is HDR.
  uint8_t active_width = 2;
  uint8_t active_speed = 64;
  bool active = true;
  std::vector<EmulatedGid> gids;
};

// What an emulated device says of itself, and keeps to: its limits are
// enforced.
struct EmulatedDeviceSpec {
  std::string name;
  std::vector<EmulatedPortSpec> ports;

  int max_qp = 1024;
  int max_cq = 1024;
  int max_pd = 1024;
  int max_mr = 4096;
  uint64_t max_mr_size = uint64_t{1} << 40;
  int max_cqe = 1 << 16;
  int max_qp_wr = 1 << 13;
  int max_sge = 30;
  int max_qp_rd_atom = 16;
  uint32_t max_msg_sz = uint32_t{1} << 31;
  uint32_t max_inline_data = 256;

  // What the device sends and reads, requests of all its queue pairs one after
  // the other. Zero: no time passes. The responder's side costs nothing.
  uint64_t bytes_per_second = 0;
  // From the end of a request's transmission to its completion.
  Duration latency = Duration::zero();
};

// A RoCE device of one port, with the GID table of such a device on a host
// with an IPv4 address: link-local v1 and v2, then the address v1 and v2. So
// the entry to use has index 3.
EmulatedDeviceSpec RoceDevice(std::string name, std::array<uint8_t, 4> ipv4);

// An InfiniBand device of one port.
EmulatedDeviceSpec InfiniBandDevice(std::string name, uint16_t lid);

// ::ffff:a.b.c.d, which is how RoCE writes an IPv4 address.
ibv_gid GidOfIpv4(std::array<uint8_t, 4> ipv4);

}  // namespace te::rdma::emulated

#endif  // TE_RDMA_EMULATED_EMULATED_DEVICE_SPEC_H_
