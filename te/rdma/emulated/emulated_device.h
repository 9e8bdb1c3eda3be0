#ifndef TE_RDMA_EMULATED_EMULATED_DEVICE_H_
#define TE_RDMA_EMULATED_EMULATED_DEVICE_H_

#include <infiniband/verbs.h>

#include <cstdint>
#include <memory>
#include <ostream>
#include <string>
#include <utility>

#include "te/rdma/emulated/device_state.h"
#include "te/rdma/emulated/emulated_device_spec.h"
#include "te/rdma/emulated/wire.h"

namespace te::rdma::emulated {

// How many objects of a device were made and not destroyed.
struct LiveObjects {
  int contexts = 0;
  int pds = 0;
  int mrs = 0;
  int channels = 0;
  int cqs = 0;
  int qps = 0;

  friend bool operator==(const LiveObjects&, const LiveObjects&) = default;
  friend std::ostream& operator<<(std::ostream& out, const LiveObjects& live);
};

// The handle by which a test breaks and inspects a device. Owned by the fabric.
// Ports have numbers from 1; unknown ones are a CHECK. Thread-safe.
class EmulatedDevice {
 public:
  EmulatedDevice(Wire& wire, DeviceState& state) : wire_(wire), state_(state) {}

  const std::string& name() const { return state_.spec.name; }

  // Raises IBV_EVENT_PORT_ACTIVE or IBV_EVENT_PORT_ERR. While a port is down,
  // whatever is sent to or from it is lost; requests are retried as their queue
  // pair says, and end well if the port is back by then.
  void SetPortActive(int port, bool active);
  // Raises IBV_EVENT_LID_CHANGE. Packets to the old LID are lost.
  void SetLid(int port, uint16_t lid);
  // Raises nothing, as with a netdev whose MTU has changed.
  void SetMtu(int port, ibv_mtu mtu);
  // Replaces the entry with the same index, or adds it; raises
  // IBV_EVENT_GID_CHANGE. What is sent from or to the former GID is lost.
  void SetGid(int port, const EmulatedGid& gid);
  void RemoveGid(int port, uint32_t index);
  // Each packet to or from the device is lost with this probability; a request
  // is one packet. Retries are up to the queue pairs.
  void SetLossProbability(double probability);
  // As EmulatedDeviceSpec::bytes_per_second, for what is posted from now on.
  void SetBandwidth(uint64_t bytes_per_second);
  // Takes a queue pair into the error state by itself: IBV_EVENT_QP_FATAL.
  void FailQp(uint32_t qp_num);
  // For good: IBV_EVENT_DEVICE_FATAL. Everything outstanding is flushed; what
  // is asked of the device fails with EIO, but destroying, polling and fetching
  // events.
  void Fail();

  LiveObjects live_objects();
  // How often a queue was asked to wake somebody.
  uint64_t notify_requests() const { return state_.notify_requests; }

 private:
  Wire& wire_;
  DeviceState& state_;
};

}  // namespace te::rdma::emulated

#endif  // TE_RDMA_EMULATED_EMULATED_DEVICE_H_
