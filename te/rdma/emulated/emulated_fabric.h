#ifndef TE_RDMA_EMULATED_EMULATED_FABRIC_H_
#define TE_RDMA_EMULATED_EMULATED_FABRIC_H_

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "te/base/clock.h"
#include "te/base/mutex.h"
#include "te/rdma/emulated/emulated_device.h"
#include "te/rdma/emulated/emulated_device_spec.h"
#include "te/rdma/emulated/emulated_fault.h"
#include "te/rdma/emulated/emulated_verbs.h"
#include "te/rdma/emulated/fabric_options.h"
#include "te/rdma/emulated/wire.h"
#include "te/rdma/verbs/verbs.h"

namespace te::rdma::emulated {

// A network of hosts with emulated RDMA devices, all in this process: reliable
// connected queue pairs with RDMA READ, RDMA WRITE and SEND, for tests and
// benchmarks. What it enforces is what devices enforce: states and attributes
// of queue pairs, keys, bounds and access rights of memory, depths of queues,
// and that both ends of a connection mean each other.
//
//   EmulatedFabric fabric({.mode = WireMode::kThreaded});
//   fabric.AddDevice("a", RoceDevice("mlx5_0", {10, 0, 0, 1}));
//   fabric.AddDevice("b", RoceDevice("mlx5_0", {10, 0, 0, 2}));
//   std::shared_ptr<Verbs> verbs = fabric.VerbsOf("a");
//
// A request is one packet. Requests of one send queue are carried out in order,
// a READ fetches its bytes then, and a completion is there after the bytes are.
// The devices outlive the fabric as long as somebody has Verbs.
//
// What it does not have: unreliable and shared queues, atomics, immediate
// data, memory windows, alternate paths, dmabuf.
//
// Thread-safe.
class EmulatedFabric {
 public:
  explicit EmulatedFabric(const FabricOptions& options = {});

  // A device of a host, which its Verbs list from now on, in this order. All
  // hosts of a fabric are in one network; LIDs and GIDs must differ. The device
  // lives as long as the fabric.
  EmulatedDevice& AddDevice(const std::string& host, EmulatedDeviceSpec spec);
  // The verbs of a host, which need not have a device.
  std::shared_ptr<Verbs> VerbsOf(const std::string& host);

  // Judges all send work requests that come to the head of their queue from
  // now on. Empty: none.
  void SetFaultScript(FaultScript script);
  // The n-th control verb from now that is called on a host and can fail does
  // so, with that errno; 1 is the next, 0 takes it back. Those to destroy,
  // acknowledge and fetch events are not among them.
  void FailControlVerb(const std::string& host, int n, int error);
  // How many such verbs were called on a host, so that a test can fail each.
  uint64_t control_verbs(const std::string& host);

  // Carries out all that is due, and returns how many times something was. For
  // WireMode::kStepped and kImmediate.
  int Run() { return wire_->Run(); }
  // When there is something to do next, or kNoDeadline.
  MonotonicTime next_due() { return wire_->next_due(); }

 private:
  EmulatedVerbs& Host(const std::string& name)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  const std::shared_ptr<Wire> wire_;
  Mutex mutex_;
  std::map<std::string, std::shared_ptr<EmulatedVerbs>> hosts_
      ABSL_GUARDED_BY(mutex_);
  std::vector<std::unique_ptr<EmulatedDevice>> devices_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace te::rdma::emulated

#endif  // TE_RDMA_EMULATED_EMULATED_FABRIC_H_
