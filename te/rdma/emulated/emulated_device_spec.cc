#include "te/rdma/emulated/emulated_device_spec.h"

#include <algorithm>
#include <utility>

namespace te::rdma::emulated {
namespace {

// fe80::/64 with an interface identifier made of `id`.
ibv_gid LinkLocal(std::array<uint8_t, 4> id) {
  ibv_gid gid = {};
  gid.raw[0] = 0xfe;
  gid.raw[1] = 0x80;
  gid.raw[8] = 0x02;
  std::copy(id.begin(), id.end(), gid.raw + 12);
  return gid;
}

}  // namespace

ibv_gid GidOfIpv4(std::array<uint8_t, 4> ipv4) {
  ibv_gid gid = {};
  gid.raw[10] = 0xff;
  gid.raw[11] = 0xff;
  std::copy(ipv4.begin(), ipv4.end(), gid.raw + 12);
  return gid;
}

EmulatedDeviceSpec RoceDevice(std::string name, std::array<uint8_t, 4> ipv4) {
  EmulatedPortSpec port;
  port.gids = {
      {0, LinkLocal(ipv4), IBV_GID_TYPE_ROCE_V1, 2},
      {1, LinkLocal(ipv4), IBV_GID_TYPE_ROCE_V2, 2},
      {2, GidOfIpv4(ipv4), IBV_GID_TYPE_ROCE_V1, 2},
      {3, GidOfIpv4(ipv4), IBV_GID_TYPE_ROCE_V2, 2},
  };
  EmulatedDeviceSpec spec;
  spec.name = std::move(name);
  spec.ports = {std::move(port)};
  return spec;
}

EmulatedDeviceSpec InfiniBandDevice(std::string name, uint16_t lid) {
  EmulatedPortSpec port;
  port.link_layer = IBV_LINK_LAYER_INFINIBAND;
  port.lid = lid;
  port.gids = {{0,
                LinkLocal({0, 0, static_cast<uint8_t>(lid >> 8),
                           static_cast<uint8_t>(lid & 0xff)}),
                IBV_GID_TYPE_IB, 0}};
  EmulatedDeviceSpec spec;
  spec.name = std::move(name);
  spec.ports = {std::move(port)};
  return spec;
}

}  // namespace te::rdma::emulated
