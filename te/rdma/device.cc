#include "te/rdma/device.h"

#include <fcntl.h>
#include <net/if.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <utility>

#include "absl/cleanup/cleanup.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "te/base/errno_status.h"
#include "te/base/status_macros.h"

namespace te::rdma {
namespace {

// Of all ports together; with more it fails. A table has 256 at most on most
// devices, of which few are in use.
constexpr size_t kMaxGids = 1024;
constexpr int kMaxGidIndex = 255;

using DeviceList =
    std::unique_ptr<ibv_device*, std::function<void(ibv_device**)>>;

absl::StatusOr<DeviceList> GetDevices(Verbs& verbs, int& count) {
  ibv_device** const list = verbs.GetDeviceList(&count);
  if (list == nullptr) {
    // ENOSYS: the kernel modules are not loaded.
    return ErrnoToStatus(
        errno, absl::StrCat(verbs.name(),
                            ": cannot list RDMA devices; is the kernel module "
                            "ib_uverbs loaded?"));
  }
  return DeviceList(list,
                    [&verbs](ibv_device** l) { verbs.FreeDeviceList(l); });
}

absl::Status CannotOpen(int error, const std::string& name) {
  const absl::string_view remedy =
      error == EACCES || error == EPERM
          ? "this process may not; check the permissions of "
            "/dev/infiniband/uverbs*, and in a container that it is given "
            "/dev/infiniband"
      : error == ENOENT
          ? "it has no file there; is /dev/infiniband/uverbs* given to this "
            "container?"
          : "may this process use /dev/infiniband/uverbs*?";
  return ErrnoToStatus(
      error, absl::StrCat("cannot open the RDMA device ", name, ": ", remedy));
}

PortState StateOf(ibv_port_state state) {
  switch (state) {
    case IBV_PORT_DOWN:
      return PortState::kDown;
    case IBV_PORT_INIT:
      return PortState::kInit;
    case IBV_PORT_ARMED:
      return PortState::kArmed;
    case IBV_PORT_ACTIVE:
      return PortState::kActive;
    case IBV_PORT_ACTIVE_DEFER:
      return PortState::kActiveDefer;
    default:
      return PortState::kUnknown;
  }
}

LinkLayer LayerOf(uint8_t layer) {
  switch (layer) {
    case IBV_LINK_LAYER_INFINIBAND:
      return LinkLayer::kInfiniBand;
    case IBV_LINK_LAYER_ETHERNET:
      return LinkLayer::kEthernet;
    default:
      return LinkLayer::kUnknown;
  }
}

GidType TypeOf(uint32_t type) {
  switch (type) {
    case IBV_GID_TYPE_IB:
      return GidType::kInfiniBand;
    case IBV_GID_TYPE_ROCE_V1:
      return GidType::kRoceV1;
    case IBV_GID_TYPE_ROCE_V2:
      return GidType::kRoceV2;
    default:
      return GidType::kUnknown;
  }
}

std::string NetdevOf(uint32_t interface_index) {
  std::array<char, IF_NAMESIZE> name = {};
  if (interface_index == 0 ||
      if_indextoname(interface_index, name.data()) == nullptr) {
    return "";
  }
  return name.data();
}

// Both are enumerations of the specification: 1X, 4X, 8X, 12X, 2X as bits, and
// the rate of a lane (man 3 ibv_query_port).
double RateOf(uint8_t width, uint8_t speed) {
  const double lanes = width == 1    ? 1
                       : width == 2  ? 4
                       : width == 4  ? 8
                       : width == 8  ? 12
                       : width == 16 ? 2
                                     : 0;
  const double lane = speed == 1     ? 2.5
                      : speed == 2   ? 5
                      : speed == 4   ? 10
                      : speed == 8   ? 10
                      : speed == 16  ? 14
                      : speed == 32  ? 25
                      : speed == 64  ? 50
                      : speed == 128 ? 100
                                     : 0;
  return lanes * lane;
}

// Events are read when poll() says that there are some.
absl::Status MakeNonBlocking(int fd) {
  const int flags = fcntl(fd, F_GETFL);
  if (flags < 0 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) < 0) {
    return ErrnoToStatus(errno, "fcntl(O_NONBLOCK) of a device's events");
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::vector<std::string>> ListDevices(Verbs& verbs) {
  int count = 0;
  TE_ASSIGN_OR_RETURN(const DeviceList list, GetDevices(verbs, count));
  std::vector<std::string> names;
  for (int i = 0; i < count; ++i) {
    names.emplace_back(verbs.GetDeviceName(list.get()[i]));
  }
  return names;
}

Device::Device(std::shared_ptr<Verbs> verbs, std::string name,
               OpenContext context)
    : verbs_(std::move(verbs)),
      name_(std::move(name)),
      context_(std::move(context)) {}

absl::StatusOr<std::unique_ptr<Device>> Device::Open(
    std::shared_ptr<Verbs> verbs, const std::string& name,
    std::optional<uint8_t> port) {
  int count = 0;
  TE_ASSIGN_OR_RETURN(const DeviceList list, GetDevices(*verbs, count));
  std::vector<std::string> names;
  OpenContext context;
  for (int i = 0; i < count; ++i) {
    names.emplace_back(verbs->GetDeviceName(list.get()[i]));
    if (names.back() != name) continue;
    context = OpenContext(*verbs, verbs->OpenDevice(list.get()[i]));
    if (!context) return CannotOpen(errno, name);
  }
  if (!context) {
    return absl::NotFoundError(absl::StrCat(
        verbs->name(), " knows no device ", name,
        "; there are: ", names.empty() ? "none" : absl::StrJoin(names, ", ")));
  }
  std::unique_ptr<Device> device(
      new Device(std::move(verbs), name, std::move(context)));
  TE_RETURN_IF_ERROR(MakeNonBlocking(device->context()->async_fd));
  if (const int error =
          device->verbs().QueryDevice(device->context(), &device->limits_)) {
    return ErrnoToStatus(error, absl::StrCat("ibv_query_device of ", name));
  }
  device->pd_ = ProtectionDomain(device->verbs(),
                                 device->verbs().AllocPd(device->context()));
  if (!device->pd_) {
    return ErrnoToStatus(errno, absl::StrCat("ibv_alloc_pd of ", name));
  }
  TE_RETURN_IF_ERROR(device->FindPort(port));
  return device;
}

absl::Status Device::FindPort(std::optional<uint8_t> wanted) {
  const int ports = limits_.phys_port_cnt;
  if (wanted && (*wanted < 1 || *wanted > ports)) {
    return absl::NotFoundError(absl::StrCat(name_, " has no port ", *wanted,
                                            "; it has ", ports, " of them"));
  }
  port_number_ = wanted.value_or(1);
  for (int number = 1; !wanted && number <= ports; ++number) {
    ibv_port_attr attr = {};
    const auto port = static_cast<uint8_t>(number);
    if (verbs_->QueryPort(context(), port, &attr) == 0 &&
        attr.state == IBV_PORT_ACTIVE) {
      port_number_ = port;
      break;
    }
  }
  return Refresh();
}

Port Device::port() const {
  MutexLock lock(mutex_);
  return port_;
}

absl::Status Device::Refresh() {
  TE_ASSIGN_OR_RETURN(Port port, QueryPort());
  MutexLock lock(mutex_);
  port_ = std::move(port);
  usable_ = !fatal_ && port_.nic.state == PortState::kActive;
  return absl::OkStatus();
}

absl::StatusOr<Port> Device::QueryPort() const {
  ibv_port_attr attr = {};
  if (const int error = verbs_->QueryPort(context(), port_number_, &attr)) {
    return ErrnoToStatus(error, absl::StrCat("ibv_query_port of ", name_,
                                             " port ", port_number_));
  }
  Port port;
  port.mtu = 128 << attr.active_mtu;
  port.max_message_bytes = attr.max_msg_sz;
  port.pkeys = attr.pkey_tbl_len;
  port.nic.number = port_number_;
  port.nic.state = StateOf(attr.state);
  port.nic.link_layer = LayerOf(attr.link_layer);
  port.nic.rate_gbps = RateOf(attr.active_width, attr.active_speed);
  port.nic.lid = attr.lid;
  TE_ASSIGN_OR_RETURN(std::vector<GidEntry> gids, QueryGids());
  // The first entry is the default GID of the port's own netdev.
  if (!gids.empty()) port.nic.netdev = gids.front().netdev;
  port.nic.gids = std::move(gids);
  return port;
}

absl::StatusOr<std::vector<GidEntry>> Device::QueryGids() const {
  std::vector<ibv_gid_entry> entries(kMaxGids);
  const ssize_t count =
      verbs_->QueryGidTable(context(), entries.data(), entries.size());
  if (count < 0) {
    return ErrnoToStatus(static_cast<int>(-count),
                         absl::StrCat("cannot read the GID table of ", name_,
                                      "; te needs rdma-core 33 or later"));
  }
  std::vector<GidEntry> gids;
  for (const ibv_gid_entry& entry :
       absl::MakeSpan(entries).first(static_cast<size_t>(count))) {
    if (entry.port_num != port_number_ || entry.gid_index > kMaxGidIndex) {
      continue;
    }
    std::array<uint8_t, 16> bytes;
    std::copy_n(entry.gid.raw, bytes.size(), bytes.begin());
    gids.push_back({.index = static_cast<int>(entry.gid_index),
                    .gid = Gid(bytes),
                    .type = TypeOf(entry.gid_type),
                    .netdev = NetdevOf(entry.ndev_ifindex)});
  }
  std::sort(gids.begin(), gids.end(), [](const GidEntry& a, const GidEntry& b) {
    return a.index < b.index;
  });
  return gids;
}

void Device::MarkFatal() {
  MutexLock lock(mutex_);
  fatal_ = true;
  usable_ = false;
}

bool Device::fatal() const {
  MutexLock lock(mutex_);
  return fatal_;
}

absl::Status Device::health() const {
  MutexLock lock(mutex_);
  if (fatal_) {
    return absl::UnavailableError(absl::StrCat(
        name_,
        " has reported a fatal error; look into the kernel's log, and "
        "restart the process when it works again"));
  }
  if (port_.nic.state == PortState::kActive) return absl::OkStatus();
  return absl::UnavailableError(absl::StrCat(
      name_, " port ", port_number_, " is ", PortStateName(port_.nic.state),
      port_.nic.netdev.empty()
          ? ""
          : absl::StrCat("; is ", port_.nic.netdev, " up, and its cable in?")));
}

std::string Device::Describe() const {
  MutexLock lock(mutex_);
  return absl::StrCat(
      name_, " port ", port_number_, " (", PortStateName(port_.nic.state), ", ",
      LinkLayerName(port_.nic.link_layer), ", LID ", port_.nic.lid, ", MTU ",
      port_.mtu,
      port_.nic.netdev.empty() ? ""
                               : absl::StrCat(", netdev ", port_.nic.netdev),
      ")");
}

}  // namespace te::rdma
