#include "te/transport_choice.h"

#include <algorithm>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "glog/logging.h"
#include "te/base/status_macros.h"
#include "te/rdma/rdma_transport.h"
#include "te/rdma/verbs/system_verbs.h"
#include "te/topology/nic_lookup.h"
#include "te/transport/shm/shm_transport.h"
#include "te/transport/tcp/tcp_transport.h"

namespace te {
namespace {

using TransportFactory = decltype(EngineParts::transports)::value_type;

// What stands in the way of a protocol that was asked for.
absl::Status About(const std::string& protocol, const absl::Status& status) {
  return absl::Status(status.code(), absl::StrCat("protocol ", protocol, ": ",
                                                  status.message()));
}

// What cannot be used here is left out, unless it was asked for by name, or the
// options are wrong.
absl::StatusOr<std::unique_ptr<Transport>> OrGoOn(
    const std::string& protocol, bool required,
    absl::StatusOr<std::unique_ptr<Transport>> transport) {
  if (transport.ok()) return transport;
  if (required || absl::IsInvalidArgument(transport.status())) {
    return About(protocol, transport.status());
  }
  LOG(WARNING) << "protocol auto goes on without " << protocol << ": "
               << transport.status();
  return std::unique_ptr<Transport>();
}

absl::Status NoNic(const NicChoice& nics) {
  if (nics.machine == nullptr) {
    return absl::NotFoundError(
        "there is no RDMA device that can be used: none is named, and choosing "
        "by distance is off or the topology of this machine is unknown");
  }
  std::vector<std::string> found;
  for (const Nic& nic : nics.machine->nics) {
    const std::string why = WhyUnusable(nic);
    found.push_back(absl::StrCat(
        DescribeNic(nic), why.empty() ? ", which is not chosen" : ": ", why));
  }
  return absl::NotFoundError(absl::StrCat(
      "there is no RDMA device that can be used; found: ",
      found.empty() ? "none. Is the driver loaded, and does rdma link show a "
                      "device, here in this container?"
                    : absl::StrJoin(found, "; ")));
}

// The CPUs of the NUMA nodes next to each NIC.
std::map<std::string, std::vector<int>> CpusOf(const Machine& machine) {
  std::map<std::string, std::vector<int>> cpus;
  for (const Nic& nic : machine.nics) {
    for (const int index : nic.place.nodes) {
      const NumaNode* const node = FindNode(machine, index);
      if (node == nullptr) continue;
      cpus[nic.name].insert(cpus[nic.name].end(), node->cpus.begin(),
                            node->cpus.end());
    }
  }
  return cpus;
}

// The CPUs of each NUMA node that has memory for us.
std::map<int, std::vector<int>> CpusOfNodes(const Machine& machine) {
  std::map<int, std::vector<int>> cpus;
  for (const NumaNode& node : machine.nodes) {
    if (node.allowed && !node.gpu.has_value()) cpus[node.index] = node.cpus;
  }
  return cpus;
}

absl::StatusOr<TransportFactory> ChooseRdma(const TransportOptions& options,
                                            const NicChoice& nics) {
  if (nics.matrix.nics().empty()) return NoNic(nics);
  RdmaParts parts = {.verbs = options.verbs,
                     .matrix = nics.matrix,
                     .cpus = CpusOf(*nics.machine),
                     .max_buffers = options.max_buffers};
  if (parts.verbs == nullptr) {
    TE_ASSIGN_OR_RETURN(parts.verbs, rdma::LoadSystemVerbs());
  }
  const bool required = options.protocol == kRdmaTransportName;
  return TransportFactory(
      [parts, required, rdma = options.rdma](const Incarnation& self,
                                             ExposedMemory& /*memory*/)
          -> absl::StatusOr<std::unique_ptr<Transport>> {
        return OrGoOn(kRdmaTransportName, required,
                      CreateRdmaTransport(rdma, self, parts));
      });
}

TransportFactory ChooseTcp(const TransportOptions& options) {
  return [tcp = options.tcp](const Incarnation& self, ExposedMemory& memory) {
    return CreateTcpTransport(tcp, self, memory);
  };
}

bool Contains(const std::vector<std::string>& names, const std::string& name) {
  return std::find(names.begin(), names.end(), name) != names.end();
}

TransportFactory ChooseShm(const TransportOptions& options,
                           const NicChoice& nics) {
  ShmParts parts = {.boot_id = options.boot_id,
                    .max_buffers = static_cast<uint32_t>(options.max_buffers)};
  if (nics.machine != nullptr) parts.node_cpus = CpusOfNodes(*nics.machine);
  const bool required = options.protocol == kShmTransportName;
  return [parts, required, shm = options.shm](const Incarnation& self,
                                              ExposedMemory& /*memory*/)
             -> absl::StatusOr<std::unique_ptr<Transport>> {
    return OrGoOn(kShmTransportName, required,
                  CreateShmTransport(shm, self, parts));
  };
}

}  // namespace

absl::StatusOr<std::vector<std::string>> OrderProtocols(
    const TransportOptions& options) {
  // Fast ones first.
  const std::vector<std::string> all = {kShmTransportName, kRdmaTransportName,
                                        kTcpTransportName};
  const auto check = [&](const std::string& name) {
    if (Contains(all, name)) return absl::OkStatus();
    return absl::InvalidArgumentError(absl::StrCat(
        "the protocol \"", name,
        "\" is not available; there are: ", "auto, rdma, shm, tcp"));
  };
  for (const auto* names : {&options.forbidden, &options.preferred}) {
    for (const std::string& name : *names) TE_RETURN_IF_ERROR(check(name));
  }
  for (const std::string& name : options.forbidden) {
    if (name == options.protocol || Contains(options.preferred, name)) {
      return absl::InvalidArgumentError(absl::StrCat(
          "the protocol ", name, " is both asked for and forbidden"));
    }
  }
  if (options.protocol != "auto") {
    TE_RETURN_IF_ERROR(check(options.protocol));
    return std::vector<std::string>{options.protocol};
  }
  std::vector<std::string> ordered;
  for (const auto* names : {&options.preferred, &all}) {
    for (const std::string& name : *names) {
      if (!Contains(options.forbidden, name) && !Contains(ordered, name)) {
        ordered.push_back(name);
      }
    }
  }
  if (!ordered.empty()) return ordered;
  return absl::InvalidArgumentError(
      "all protocols are forbidden; leave one of rdma, shm, tcp");
}

absl::StatusOr<decltype(EngineParts::transports)> ChooseTransports(
    const TransportOptions& options, const NicChoice& nics) {
  TE_ASSIGN_OR_RETURN(const std::vector<std::string> names,
                      OrderProtocols(options));
  decltype(EngineParts::transports) transports;
  for (const std::string& name : names) {
    if (name == kShmTransportName) {
      transports.push_back(ChooseShm(options, nics));
    } else if (name == kTcpTransportName) {
      transports.push_back(ChooseTcp(options));
    } else {
      absl::StatusOr<TransportFactory> rdma = ChooseRdma(options, nics);
      if (rdma.ok()) {
        transports.push_back(*std::move(rdma));
      } else if (names.size() == 1) {
        return About(name, rdma.status());
      } else {
        LOG(INFO) << "protocol auto goes on without rdma: " << rdma.status();
      }
    }
  }
  return transports;
}

}  // namespace te
