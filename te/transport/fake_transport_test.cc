#include "te/transport/fake_transport.h"

#include <memory>
#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "te/base/incarnation.h"
#include "te/transport/exposed_memory.h"
#include "te/transport/fault_injecting_transport.h"
#include "te/transport/transport.h"
#include "te/transport/transport_conformance.h"

namespace te {
namespace {

// Both transports of each test are made by the same parameter, and meet in its
// network.
TransportParam Fake(std::string name,
                    const std::shared_ptr<FakeNetwork>& network) {
  return {std::move(name),
          [network](const Incarnation& self, ExposedMemory& memory)
              -> absl::StatusOr<std::unique_ptr<Transport>> {
            return std::make_unique<FakeTransport>(network, self, memory);
          }};
}

TransportParam BrokenByRefusals() {
  const auto network = std::make_shared<FakeNetwork>();
  network->BreakRailsOnRefusals();
  TransportParam param = Fake("BrokenByRefusals", network);
  param.refusals_stay_apart = false;
  return param;
}

INSTANTIATE_TEST_SUITE_P(Fake, TransportConformance,
                         testing::Values(Fake("Fake",
                                              std::make_shared<FakeNetwork>()),
                                         BrokenByRefusals()),
                         [](const auto& info) { return info.param.name; });

// The decorator adds nothing but its faults.
INSTANTIATE_TEST_SUITE_P(
    FaultInjecting, TransportConformance,
    testing::Values(TransportParam{
        "NoFault",
        [network = std::make_shared<FakeNetwork>()](const Incarnation& self,
                                                    ExposedMemory& memory)
            -> absl::StatusOr<std::unique_ptr<Transport>> {
          return std::make_unique<FaultInjectingTransport>(
              std::make_unique<FakeTransport>(network, self, memory),
              std::make_shared<FaultScript>(FaultScript::Call::kConnect, 0,
                                            FaultScript::Fault::kNone));
        }}),
    [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace te
