#include "te/rdma/emulated/device_state.h"

#include <algorithm>
#include <cstring>

namespace te::rdma::emulated {

DeviceState::DeviceState(std::string host_name, int device_index,
                         EmulatedDeviceSpec device_spec)
    : ibv_device(),
      host(std::move(host_name)),
      index(device_index),
      spec(std::move(device_spec)),
      mrs(static_cast<uint8_t>(device_index + 1)),
      // Far from those of other devices, so that a mix-up shows.
      next_qp_num((static_cast<uint32_t>(device_index + 1) << 16) % 0xff0000 +
                  0x11) {
  node_type = IBV_NODE_CA;
  transport_type = IBV_TRANSPORT_IB;
  for (EmulatedPortSpec& port : spec.ports) {
    std::sort(port.gids.begin(), port.gids.end(),
              [](const auto& a, const auto& b) { return a.index < b.index; });
  }
  CHECK_LT(spec.name.size(), sizeof(name));
  memcpy(name, spec.name.data(), spec.name.size());
}

void DeviceState::Raise(const ibv_async_event& event) {
  for (auto& [context, owned] : contexts) {
    context->async_events.Push(nullptr, event);
  }
}

void DeviceState::RaisePortEvent(ibv_event_type type, int port) {
  ibv_async_event event = {};
  event.event_type = type;
  event.element.port_num = port;
  Raise(event);
}

void RaiseQpEvent(EmulatedQp& qp, ibv_event_type type) {
  ibv_async_event event = {};
  event.event_type = type;
  event.element.qp = &qp;
  ContextOf(qp.context).async_events.Push(&qp, event);
}

void RaiseCqError(EmulatedCq& cq) {
  ibv_async_event event = {};
  event.event_type = IBV_EVENT_CQ_ERR;
  event.element.cq = &cq;
  ContextOf(cq.context).async_events.Push(&cq, event);
}

}  // namespace te::rdma::emulated
