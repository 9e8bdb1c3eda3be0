#include "te/transfer_engine.h"

#include <chrono>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/strip.h"
#include "glog/logging.h"
#include "te/base/clock.h"
#include "te/base/host_port.h"
#include "te/base/status_macros.h"
#include "te/listen_address.h"
#include "te/metadata/host_identity.h"
#include "te/metadata/open_metadata_store.h"
#include "te/metadata/store_segment_resolver.h"
#include "te/nic_choice.h"
#include "te/rpc/p2p_segment_resolver.h"
#include "te/transport_choice.h"

namespace te {
namespace {

constexpr Duration kResolveTime = std::chrono::seconds(5);

constexpr Duration kShortestLease = std::chrono::seconds(1);
constexpr Duration kLongestLease = std::chrono::hours(24);

absl::StatusOr<std::shared_ptr<MetadataStore>> OpenStore(
    const Options& options) {
  if (options.metadata_store != nullptr) return options.metadata_store;
  return OpenMetadataStore(
      options.metadata_server,
      DeadlineAfter(RealClock().Now(), options.engine.connect_timeout));
}

absl::StatusOr<std::unique_ptr<SegmentResolver>> MakeResolver(
    const Options& options) {
  if (options.metadata_lease < kShortestLease ||
      options.metadata_lease > kLongestLease) {
    return absl::InvalidArgumentError(
        "metadata_lease must be from 1 second to 24 hours");
  }
  if (options.metadata_store == nullptr && options.metadata_server == "p2p") {
    if (options.segment_name.empty()) {
      return std::make_unique<P2pSegmentResolver>();
    }
    return absl::InvalidArgumentError(
        "segment_name needs a metadata server: with p2p a segment's name is "
        "the address of its engine");
  }
  TE_ASSIGN_OR_RETURN(std::shared_ptr<MetadataStore> store, OpenStore(options));
  return std::make_unique<StoreSegmentResolver>(std::move(store),
                                                options.metadata_lease);
}

// Those whose routes say on which network the peers are. Of an address that
// this engine does not know, none: it may be that of a metadata_store, and if
// not, MakeResolver says what is wrong.
std::vector<HostPort> ServersOf(const Options& options) {
  if (options.metadata_server == "p2p") return {};
  return MetadataServers(options.metadata_server)
      .value_or(std::vector<HostPort>{});
}

}  // namespace

absl::StatusOr<std::unique_ptr<TransferEngine>> CreateTransferEngine(
    const Options& options) {
  TransportOptions transports = {.protocol = options.protocol,
                                 .forbidden = options.forbidden_protocols,
                                 .preferred = options.preferred_protocols,
                                 .rdma = options.rdma,
                                 .verbs = options.verbs,
                                 .shm = options.shm,
                                 .tcp = options.tcp,
                                 .max_buffers = options.engine.max_buffers};
  // Before anything that takes time.
  TE_RETURN_IF_ERROR(OrderProtocols(transports).status());
  TE_ASSIGN_OR_RETURN(
      const ListenAddress listen,
      ChooseListenAddress(options.local_server_name, ServersOf(options),
                          DeadlineAfter(RealClock().Now(), kResolveTime)));
  EngineParts parts;
  TE_ASSIGN_OR_RETURN(parts.resolver, MakeResolver(options));
  TE_ASSIGN_OR_RETURN(parts.host, HostIdentity::ReadSelf("/proc"));
  parts.control.address = listen.address;
  parts.control.ports = listen.ports;
  parts.advertised_host = listen.advertised_host;
  parts.segment_name = options.segment_name;
  TE_ASSIGN_OR_RETURN(const NicChoice nics, ChooseNics(options.nics));
  for (const auto& [location, preference] : nics.matrix.preferences()) {
    parts.topology[location.ToString()] = preference;
  }
  transports.boot_id = parts.host.boot_id;
  transports.tcp.listen_ip = listen.address.ip();
  TE_ASSIGN_OR_RETURN(parts.transports, ChooseTransports(transports, nics));
  TE_ASSIGN_OR_RETURN(std::unique_ptr<TransferEngine> engine,
                      TransferEngine::Create(options.engine, std::move(parts)));
  LOG(INFO) << "segment " << engine->segment_name() << " is served over "
            << absl::StrJoin(engine->Status().transports, " and ") << " on "
            << listen.address.ip()
            << (listen.reason.empty() ? ""
                                      : absl::StrCat(", which ", listen.reason))
            << " (protocol " << options.protocol << ")";
  return engine;
}

}  // namespace te
