#include "te/testing/rdma_chaos_cluster.h"

#include <infiniband/verbs.h>

#include <chrono>
#include <utility>

#include "absl/strings/str_cat.h"
#include "te/options.h"
#include "te/rdma/emulated/emulated_device.h"
#include "te/rdma/emulated/emulated_device_spec.h"
#include "te/rdma/emulated/emulated_fabric.h"
#include "te/rdma/emulated/emulated_fault.h"
#include "te/transfer_engine.h"

namespace te {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

// A work request that fails, hangs, or is late; mostly nothing.
rdma::emulated::Fault DrawFault(std::mt19937& random) {
  // What a broken path, or a broken peer, gives.
  constexpr ibv_wc_status kErrors[] = {
      IBV_WC_RETRY_EXC_ERR, IBV_WC_RNR_RETRY_EXC_ERR, IBV_WC_RESP_TIMEOUT_ERR};
  rdma::emulated::Fault fault;
  const uint32_t draw = random() % 10'000;
  fault.carried_out = random() % 2 == 0;
  if (draw < 5) {
    fault.status = kErrors[random() % 3];
    fault.vendor_err = draw;
  } else if (draw == 5) {
    fault.hang = rdma::emulated::Hang::kUntilError;
  } else if (draw == 6) {
    fault.hang = rdma::emulated::Hang::kForGood;
  } else if (draw < 30) {
    fault.delay = microseconds(random() % 5000);
  }
  return fault;
}

}  // namespace

RdmaChaosCluster::RdmaChaosCluster(size_t nodes, uint8_t nics, uint32_t seed,
                                   bool gentle)
    : nodes_(nodes), nics_(nics), gentle_(gentle) {
  for (size_t node = 0; node < nodes; ++node) {
    uint64_t rate = 2'000'000'000;
    cluster_.AddHost(name(node), nics,
                     [&rate](rdma::emulated::EmulatedDeviceSpec& spec) {
                       spec.bytes_per_second = rate;
                       // The last ones are slow.
                       rate /= 2;
                     });
  }
  if (gentle) return;
  auto random = std::make_shared<std::mt19937>(seed);
  // Called with a lock of the fabric held, and so by one thread at a time.
  cluster_.fabric().SetFaultScript(
      [random](const rdma::emulated::WorkRequestInfo&) {
        return DrawFault(*random);
      });
}

std::string RdmaChaosCluster::name(size_t node) const {
  return absl::StrCat("host-", node);
}

absl::StatusOr<std::unique_ptr<TransferEngine>> RdmaChaosCluster::Start(
    size_t node) {
  Options options = cluster_.OptionsOf(name(node));
  // Where nothing may fail, a busy machine must not be taken for a stuck NIC.
  options.rdma.work_timeout = milliseconds(gentle_ ? 2000 : 100);
  options.rdma.flush_timeout = milliseconds(50);
  options.rdma.handshake_timeout = milliseconds(gentle_ ? 5000 : 500);
  options.rdma.keepalive = milliseconds(200);
  options.engine.connect_timeout = milliseconds(500);
  options.engine.slice_bytes = 64 << 10;
  return CreateTransferEngine(options);
}

std::string RdmaChaosCluster::Disturb(std::mt19937& random) {
  const std::string host = name(random() % nodes_);
  const size_t spared = gentle_ ? 1 : 0;
  const size_t nic = spared + random() % (nics_ - spared);
  rdma::emulated::EmulatedDevice& device = cluster_.device(host, nic);
  const std::string which = absl::StrCat(host, ", NIC ", nic, ": ");
  switch (random() % 6) {
    case 0:
      device.SetPortActive(1, false);
      return which + "port down";
    case 1:
      device.SetLossProbability(0.02);
      return which + "loss";
    case 2:
      device.SetLossProbability(0);
      return which + "no loss";
    default:
      device.SetPortActive(1, true);
      return which + "port up";
  }
}

void RdmaChaosCluster::Calm() {
  cluster_.fabric().SetFaultScript(nullptr);
  for (size_t node = 0; node < nodes_; ++node) {
    for (size_t nic = 0; nic < nics_; ++nic) {
      cluster_.device(name(node), nic).SetPortActive(1, true);
      cluster_.device(name(node), nic).SetLossProbability(0);
    }
  }
}

}  // namespace te
