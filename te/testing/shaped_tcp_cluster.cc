#include "te/testing/shaped_tcp_cluster.h"

#include <chrono>
#include <cmath>
#include <utility>

#include "absl/strings/str_cat.h"
#include "te/base/clock.h"
#include "te/base/incarnation.h"
#include "te/base/socket_address.h"
#include "te/base/status_macros.h"
#include "te/core/engine_options.h"
#include "te/metadata/store_segment_resolver.h"
#include "te/transport/exposed_memory.h"
#include "te/transport/shaped_transport.h"
#include "te/transport/tcp/tcp_transport.h"
#include "te/transport/transport.h"

namespace te {
namespace {

using std::chrono::microseconds;
using std::chrono::milliseconds;

uint32_t Below(std::mt19937& random, uint32_t bound) {
  return static_cast<uint32_t>(random() % bound);
}

// One thing that is wrong with a rail, or nothing.
std::string Change(std::mt19937& random, RailShape& shape) {
  shape = RailShape();
  switch (Below(random, 12)) {
    case 0:
    case 1:
      shape.cut = true;
      return "cut";
    case 2:
      shape.stalled = true;
      return "stall";
    case 3:
      shape.flap_period = milliseconds(5 + Below(random, 200));
      return absl::StrCat("flap every ", shape.flap_period.count() / 1'000'000,
                          " ms");
    case 4:
    case 5:
      shape.bytes_per_second =
          static_cast<uint64_t>(std::pow(10.0, 5 + Below(random, 5)));
      shape.latency = microseconds(Below(random, 2000));
      return absl::StrCat("throttle to ", shape.bytes_per_second, " B/s");
    case 6:
      shape.jitter = microseconds(Below(random, 20'000));
      return "jitter";
    case 7:
      shape.loss = 0.05;
      return "loss";
    case 8:
      shape.lost_acknowledgement = 0.05;
      return "lost acknowledgements";
    case 9:
      shape.stale_key = 0.002;
      return "stale keys";
    default:
      return "restore";
  }
}

}  // namespace

ShapedTcpCluster::ShapedTcpCluster(size_t nodes, size_t rails, uint32_t seed,
                                   bool gentle)
    : gentle_(gentle) {
  for (size_t node = 0; node < nodes; ++node) {
    controls_.push_back(std::make_shared<RailControls>(
        RailControls::Options{.rails = rails,
                              .seed = seed + static_cast<uint32_t>(node),
                              .detection_time = milliseconds(5),
                              .preparation_time = milliseconds(2)}));
  }
}

std::string ShapedTcpCluster::name(size_t node) const {
  return absl::StrCat("node-", node);
}

absl::StatusOr<std::unique_ptr<TransferEngine>> ShapedTcpCluster::Start(
    size_t node) {
  EngineParts parts;
  parts.resolver = std::make_unique<StoreSegmentResolver>(store_);
  TE_ASSIGN_OR_RETURN(parts.control.address,
                      SocketAddress::FromIp("127.0.0.1", 0));
  parts.advertised_host = "127.0.0.1";
  parts.segment_name = name(node);
  parts.transports.push_back(
      [controls = controls_[node]](
          const Incarnation& self,
          ExposedMemory& memory) -> absl::StatusOr<std::unique_ptr<Transport>> {
        TE_ASSIGN_OR_RETURN(std::unique_ptr<Transport> tcp,
                            CreateTcpTransport({}, self, memory));
        return ShapedTransport::Create(std::move(tcp), controls);
      });
  EngineOptions options;
  options.slice_bytes = 64 << 10;
  options.connect_timeout = milliseconds(500);
  return TransferEngine::Create(options, std::move(parts));
}

std::string ShapedTcpCluster::Disturb(std::mt19937& random) {
  const size_t node = random() % controls_.size();
  RailControls& controls = *controls_[node];
  const size_t spared = gentle_ ? 1 : 0;
  const size_t rail = spared + random() % (controls.options().rails - spared);
  std::string what;
  controls.Change(rail, [&](RailShape& shape) {
    what = Change(random, shape);
    if (gentle_) shape.stale_key = 0;
  });
  return absl::StrCat(name(node), ", rail ", rail, ": ", what);
}

void ShapedTcpCluster::Calm() {
  for (const auto& controls : controls_) controls->Calm();
}

}  // namespace te
