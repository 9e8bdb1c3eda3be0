#include "te/transport/fake_transport.h"

#include <memory>

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
INSTANTIATE_TEST_SUITE_P(Fake, TransportConformance,
                         testing::Values(TransportParam{
                             "Fake",
                             [network = std::make_shared<FakeNetwork>()](
                                 const Incarnation& self, ExposedMemory& memory)
                                 -> absl::StatusOr<std::unique_ptr<Transport>> {
                               return std::make_unique<FakeTransport>(
                                   network, self, memory);
                             }}),
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
