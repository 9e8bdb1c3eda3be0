#ifndef TE_RDMA_DEVICE_H_
#define TE_RDMA_DEVICE_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "te/base/mutex.h"
#include "te/rdma/verbs/objects.h"
#include "te/rdma/verbs/verbs.h"
#include "te/topology/nic.h"

namespace te::rdma {

// The port of a device through which everything goes, as it was when it was
// last looked at. A value.
struct Port {
  // With the GIDs of indexes 0 to 255 that are in use.
  NicPort nic;
  // Bytes of the largest packet.
  int mtu = 0;
  // Bytes of the longest message, which one work request may move.
  uint32_t max_message_bytes = 0;
  // The length of its table of P_Keys.
  int pkeys = 0;
};

// An RDMA device that is open, with a protection domain for everything that te
// does with it. Thread-safe. Everything made from it goes before it does.
class Device {
 public:
  // Opens the device `name` ("mlx5_0") and takes the port of that number, by
  // default the first that is active. NOT_FOUND names the devices that there
  // are; other errors say what the device lacks or refused.
  static absl::StatusOr<std::unique_ptr<Device>> Open(
      std::shared_ptr<Verbs> verbs, const std::string& name,
      std::optional<uint8_t> port);

  const std::string& name() const { return name_; }
  Verbs& verbs() const { return *verbs_; }
  ibv_context* context() const { return context_.get(); }
  ibv_pd* pd() const { return pd_.get(); }
  const ibv_device_attr& limits() const { return limits_; }
  uint8_t port_number() const { return port_number_; }

  Port port() const;
  // Looks at the port and its GIDs again, after an event.
  absl::Status Refresh();

  // Why nothing can be sent through it now; OK if it can, as far as is known.
  absl::Status health() const;
  // The same, without the reason.
  bool usable() const { return usable_.load(); }
  // It reported a fatal error, or was taken out: it is not used again.
  void MarkFatal();
  bool fatal() const;

  // For people: "mlx5_0 port 1 (ACTIVE, LID 0, MTU 4096, RoCE)".
  std::string Describe() const;

 private:
  Device(std::shared_ptr<Verbs> verbs, std::string name, OpenContext context);

  absl::Status FindPort(std::optional<uint8_t> wanted);
  absl::StatusOr<Port> QueryPort() const;
  absl::StatusOr<std::vector<GidEntry>> QueryGids() const;

  const std::shared_ptr<Verbs> verbs_;
  const std::string name_;
  // Before what is made from it.
  OpenContext context_;
  ProtectionDomain pd_;
  ibv_device_attr limits_ = {};
  uint8_t port_number_ = 1;

  std::atomic<bool> usable_{false};
  mutable Mutex mutex_;
  Port port_ ABSL_GUARDED_BY(mutex_);
  bool fatal_ ABSL_GUARDED_BY(mutex_) = false;
};

// The names of the devices that `verbs` know, in their order.
absl::StatusOr<std::vector<std::string>> ListDevices(Verbs& verbs);

}  // namespace te::rdma

#endif  // TE_RDMA_DEVICE_H_
