// What every transport promises, of the verbs transport over emulated devices.

#include <memory>
#include <utility>

#include "gtest/gtest.h"
#include "te/rdma/emulated_pair.h"
#include "te/rdma/rdma_options.h"
#include "te/transport/transport_conformance.h"

namespace te {
namespace {

using rdma::EmulatedPair;

// The two ends of the suite are made one after the other: the first of each
// pair is the client, "a".
TransportParam Param(
    const std::string& name, rdma::NicCounts nics, const RdmaOptions& options,
    std::function<void(rdma::emulated::EmulatedDeviceSpec&)> change = nullptr) {
  auto pair = std::make_shared<std::shared_ptr<EmulatedPair>>();
  return {
      .name = name,
      .make = [=](const Incarnation& self, ExposedMemory&)
          -> absl::StatusOr<std::unique_ptr<Transport>> {
        if (*pair == nullptr) {
          *pair = std::make_shared<EmulatedPair>(
              rdma::emulated::FabricOptions(), nics, change);
          return (*pair)->MakeTransport("a", self, options);
        }
        return std::exchange(*pair, nullptr)->MakeTransport("b", self, options);
      },
      .refusals_stay_apart = false,
      .rails_heal = true};
}

RdmaOptions Quick() {
  RdmaOptions options;
  options.ack_timeout = 8;
  return options;
}

RdmaOptions Narrow() {
  RdmaOptions options = Quick();
  options.num_qp = 1;
  options.max_wr = 16;
  options.max_sge = 1;
  options.max_inline = 0;
  options.window_bytes = 64 << 10;
  return options;
}

INSTANTIATE_TEST_SUITE_P(
    Rdma, TransportConformance,
    testing::Values(Param("OneNic", {1, 1}, Quick()),
                    Param("Narrow", {1, 1}, Narrow()),
                    Param("TwoNics", {2, 2}, Quick()),
                    Param("TwoToThree", {2, 3}, Quick()),
                    Param("ShortMessages", {1, 1}, Quick(),
                          [](rdma::emulated::EmulatedDeviceSpec& spec) {
                            spec.max_msg_sz = 4 << 20;
                          })),
    testing::PrintToStringParamName());

}  // namespace
}  // namespace te
