#include "te/transfer_engine.h"

#include <chrono>
#include <string>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "glog/logging.h"
#include "te/base/clock.h"
#include "te/base/host_port.h"
#include "te/base/status_macros.h"
#include "te/listen_address.h"
#include "te/metadata/host_identity.h"
#include "te/metadata/store_segment_resolver.h"
#include "te/rpc/p2p_segment_resolver.h"
#include "te/transport/tcp/tcp_transport.h"

namespace te {
namespace {

constexpr Duration kResolveTime = std::chrono::seconds(5);

absl::StatusOr<std::unique_ptr<SegmentResolver>> MakeResolver(
    const Options& options) {
  if (options.metadata_store != nullptr) {
    return std::make_unique<StoreSegmentResolver>(options.metadata_store);
  }
  if (options.metadata_server == "p2p") {
    return std::make_unique<P2pSegmentResolver>();
  }
  return absl::InvalidArgumentError(absl::StrCat("unknown metadata server \"",
                                                 options.metadata_server,
                                                 "\"; this engine knows: p2p"));
}

// Under a metadata store the segment has the name that its owner chose; without
// one the name is the address at which it can be asked.
std::string ChosenName(const Options& options, const ListenAddress& listen) {
  const bool any_port = listen.ports.size() != 1 || listen.ports.first == 0;
  const absl::StatusOr<HostPortRange> parsed =
      HostPortRange::Parse(options.local_server_name);
  const bool has_port = parsed.ok() && parsed->ports.has_value();
  if (options.metadata_store == nullptr || (has_port && any_port)) return "";
  return options.local_server_name;
}

absl::Status CheckProtocol(const std::string& protocol) {
  if (protocol == "auto" || protocol == "tcp") return absl::OkStatus();
  return absl::InvalidArgumentError(
      absl::StrCat("the protocol \"", protocol,
                   "\" is not available; there are: auto, tcp"));
}

}  // namespace

absl::StatusOr<std::unique_ptr<TransferEngine>> CreateTransferEngine(
    const Options& options) {
  TE_RETURN_IF_ERROR(CheckProtocol(options.protocol));
  TE_ASSIGN_OR_RETURN(
      const ListenAddress listen,
      ChooseListenAddress(options.local_server_name,
                          DeadlineAfter(RealClock().Now(), kResolveTime)));
  EngineParts parts;
  TE_ASSIGN_OR_RETURN(parts.resolver, MakeResolver(options));
  TE_ASSIGN_OR_RETURN(parts.host, HostIdentity::ReadSelf("/proc"));
  parts.control.address = listen.address;
  parts.control.ports = listen.ports;
  parts.advertised_host = listen.advertised_host;
  parts.segment_name = ChosenName(options, listen);
  TcpOptions tcp = options.tcp;
  tcp.listen_ip = listen.address.ip();
  parts.transports.push_back(
      [tcp](const Incarnation& self, ExposedMemory& memory) {
        return CreateTcpTransport(tcp, self, memory);
      });
  TE_ASSIGN_OR_RETURN(std::unique_ptr<TransferEngine> engine,
                      TransferEngine::Create(options.engine, std::move(parts)));
  LOG(INFO) << "segment " << engine->segment_name() << " is served over tcp on "
            << tcp.listen_ip
            << (options.protocol == "auto"
                    ? "; protocol auto chose tcp, the only transport here"
                    : "");
  return engine;
}

}  // namespace te
