#ifndef TE_RDMA_CLUSTER_H_
#define TE_RDMA_CLUSTER_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "te/core/transfer_engine.h"
#include "te/metadata/in_process_store.h"
#include "te/options.h"
#include "te/rdma/emulated/emulated_device.h"
#include "te/rdma/emulated/emulated_device_spec.h"
#include "te/rdma/emulated/emulated_fabric.h"
#include "te/rdma/emulated/fabric_options.h"
#include "te/topology/machine.h"
#include "te/topology/nic.h"
#include "te/topology/numa_node.h"
#include "te/transfer_engine.h"

namespace te {

// Hosts in this process with emulated NICs, "mlx5_0" and so on, in one network,
// and engines on them, whose segments have the hosts' names. For tests.
class RdmaCluster {
 public:
  using Change = std::function<void(rdma::emulated::EmulatedDeviceSpec&)>;

  explicit RdmaCluster(const rdma::emulated::FabricOptions& options = {})
      : fabric_(options) {}

  void AddHost(const std::string& name, uint8_t nics,
               const Change& change = nullptr) {
    const auto number = static_cast<uint8_t>(hosts_.size() + 1);
    Host& host = hosts_[name];
    Machine machine = {.nodes = {NumaNode{}}};
    for (uint8_t i = 0; i < nics; ++i) {
      rdma::emulated::EmulatedDeviceSpec spec = rdma::emulated::RoceDevice(
          absl::StrCat("mlx5_", int{i}), {10, 0, i, number});
      if (change) change(spec);
      machine.nics.push_back(Nic{.name = spec.name, .ports = {NicPort{}}});
      host.devices.push_back(&fabric_.AddDevice(name, std::move(spec)));
    }
    host.machine = std::make_shared<const Machine>(std::move(machine));
  }

  // Of an engine on that host that notices within some milliseconds what does
  // not work.
  Options OptionsOf(const std::string& host) {
    Options options;
    options.local_server_name = "127.0.0.1";
    options.metadata_store = store_;
    options.segment_name = host;
    options.nics.spread = 0;
    options.nics.machine = hosts_.at(host).machine;
    options.protocol = "rdma";
    // They stand for hosts of their own.
    options.forbidden_protocols = {"shm"};
    options.verbs = fabric_.VerbsOf(host);
    options.rdma.ack_timeout = 8;
    return options;
  }
  absl::StatusOr<std::unique_ptr<TransferEngine>> StartEngine(
      const std::string& host) {
    return CreateTransferEngine(OptionsOf(host));
  }

  rdma::emulated::EmulatedFabric& fabric() { return fabric_; }
  rdma::emulated::EmulatedDevice& device(const std::string& host, size_t nic) {
    return *hosts_.at(host).devices.at(nic);
  }
  // Whether no engine has left anything on any device.
  bool nothing_lives() const {
    for (const auto& [unused, host] : hosts_) {
      for (rdma::emulated::EmulatedDevice* device : host.devices) {
        if (!(device->live_objects() == rdma::emulated::LiveObjects())) {
          return false;
        }
      }
    }
    return true;
  }

 private:
  struct Host {
    std::vector<rdma::emulated::EmulatedDevice*> devices;
    std::shared_ptr<const Machine> machine;
  };

  rdma::emulated::EmulatedFabric fabric_;
  const std::shared_ptr<InProcessStore> store_ =
      std::make_shared<InProcessStore>();
  std::map<std::string, Host> hosts_;
};

}  // namespace te

#endif  // TE_RDMA_CLUSTER_H_
