#ifndef TE_RDMA_EMULATED_PAIR_H_
#define TE_RDMA_EMULATED_PAIR_H_

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
#include "glog/logging.h"
#include "te/base/incarnation.h"
#include "te/base/memory_location.h"
#include "te/rdma/emulated/emulated_device.h"
#include "te/rdma/emulated/emulated_fabric.h"
#include "te/rdma/rdma_options.h"
#include "te/rdma/rdma_transport.h"
#include "te/rdma/verbs/verbs.h"
#include "te/topology/priority_matrix.h"
#include "te/transport/transport.h"

namespace te::rdma {

// How many NICs each host has.
struct NicCounts {
  size_t a = 1;
  size_t b = 1;
};

// Two hosts with emulated NICs in one network, for tests: "a" and "b", with
// devices "mlx5_0", "mlx5_1" and so on.
class EmulatedPair {
 public:
  // `change` may alter each device before it is added.
  explicit EmulatedPair(
      const emulated::FabricOptions& options, NicCounts nics = {},
      const std::function<void(emulated::EmulatedDeviceSpec&)>& change =
          nullptr)
      : fabric_(options) {
    Add("a", nics.a, 1, a_, change);
    Add("b", nics.b, 2, b_, change);
  }

  emulated::EmulatedFabric& fabric() { return fabric_; }
  emulated::EmulatedDevice& a(size_t nic) { return *a_.at(nic); }
  emulated::EmulatedDevice& b(size_t nic) { return *b_.at(nic); }

  // What transports of that host use from now on, which is to lead to the
  // fabric's in the end.
  void SetVerbs(const std::string& host, std::shared_ptr<Verbs> verbs) {
    verbs_[host] = std::move(verbs);
  }

  // A transport of that host, over all its NICs.
  absl::StatusOr<std::unique_ptr<Transport>> MakeTransport(
      const std::string& host, const Incarnation& self,
      const RdmaOptions& options) {
    PriorityMatrix::Preferences preferences;
    for (emulated::EmulatedDevice* device : host == "a" ? a_ : b_) {
      preferences[MemoryLocation()].preferred.push_back(device->name());
    }
    absl::StatusOr<PriorityMatrix> matrix =
        PriorityMatrix::Create(std::move(preferences));
    CHECK(matrix.ok()) << matrix.status();
    const auto verbs = verbs_.find(host);
    return CreateRdmaTransport(
        options, self,
        {.verbs = verbs == verbs_.end() ? fabric_.VerbsOf(host) : verbs->second,
         .matrix = *std::move(matrix),
         .max_buffers = 64});
  }

 private:
  void Add(const std::string& host, size_t count, uint8_t subnet,
           std::vector<emulated::EmulatedDevice*>& devices,
           const std::function<void(emulated::EmulatedDeviceSpec&)>& change) {
    for (size_t i = 0; i < count; ++i) {
      emulated::EmulatedDeviceSpec spec = emulated::RoceDevice(
          absl::StrCat("mlx5_", i), {10, 0, static_cast<uint8_t>(i), subnet});
      // No netdev of this machine is theirs.
      for (emulated::EmulatedGid& gid : spec.ports.front().gids) {
        gid.interface_index = 0;
      }
      if (change) change(spec);
      devices.push_back(&fabric_.AddDevice(host, std::move(spec)));
    }
  }

  emulated::EmulatedFabric fabric_;
  std::vector<emulated::EmulatedDevice*> a_;
  std::vector<emulated::EmulatedDevice*> b_;
  std::map<std::string, std::shared_ptr<Verbs>> verbs_;
};

}  // namespace te::rdma

#endif  // TE_RDMA_EMULATED_PAIR_H_
