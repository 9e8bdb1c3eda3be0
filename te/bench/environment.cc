#include "te/bench/environment.h"

#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <iterator>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/match.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "te/base/host_port.h"
#include "te/base/status_macros.h"

namespace te::bench {
namespace {

// Kinds of values.
enum class Kind {
  kCount,
  kSeconds,
  kText,
  kForceTcp,
  kLogLevel,
  kRelaxedOrdering,
  // Not by itself: see ListenName.
  kPort,
};

struct Variable {
  absl::string_view name;
  absl::string_view flag;
  Kind kind;
  absl::string_view meaning;
};

constexpr Variable kVariables[] = {
    {"MC_CUSTOM_TOPO_JSON", "nic_priority_matrix", Kind::kText,
     "the file of the matrix"},
    {"MC_FORCE_TCP", "protocol", Kind::kForceTcp, "1 or true: tcp"},
    {"MC_GID_INDEX", "gid_index", Kind::kCount, "index"},
    {"MC_HANDSHAKE_CONNECT_TIMEOUT", "connect_timeout", Kind::kSeconds,
     "seconds"},
    {"MC_IB_PCI_RELAXED_ORDERING", "relaxed_ordering", Kind::kRelaxedOrdering,
     "0: no; 1, 2: yes"},
    {"MC_IB_PORT", "ib_port", Kind::kCount, "number"},
    {"MC_IB_SL", "service_level", Kind::kCount, "0 to 15"},
    {"MC_IB_TC", "traffic_class", Kind::kCount, "0 to 255"},
    {"MC_LOG_DIR", "log_dir", Kind::kText, "log to files there, not to stderr"},
    {"MC_LOG_LEVEL", "minloglevel", Kind::kLogLevel,
     "TRACE, INFO, WARNING or ERROR"},
    {"MC_MAX_EP_PER_CTX", "max_endpoints", Kind::kCount,
     "count, of all devices"},
    {"MC_MAX_INLINE", "max_inline", Kind::kCount, "bytes"},
    {"MC_MAX_RPC_PORT", "local_server_name", Kind::kPort,
     "last port to listen on"},
    {"MC_MAX_SGE", "max_sge", Kind::kCount, "count"},
    {"MC_MAX_WR", "max_wr", Kind::kCount, "count"},
    {"MC_MIN_RPC_PORT", "local_server_name", Kind::kPort,
     "first port to listen on"},
    {"MC_MTU", "mtu", Kind::kCount, "bytes"},
    {"MC_NUM_QP_PER_EP", "num_qp", Kind::kCount, "count"},
    {"MC_PKEY_INDEX", "pkey_index", Kind::kCount, "index"},
    {"MC_RETRY_CNT", "max_attempts", Kind::kCount, "count"},
    {"MC_SLICE_SIZE", "slice_size", Kind::kCount, "bytes"},
    {"MC_TCP_BIND_ADDRESS", "local_server_name", Kind::kPort,
     "address to listen on"},
    {"MC_TRANSFER_TIMEOUT", "request_timeout", Kind::kSeconds, "seconds"},
};

struct NoEffect {
  // A name, or with '*' in the end all that begin so.
  absl::string_view name;
  absl::string_view why;
};

constexpr absl::string_view kOnlyThere = "has no counterpart here";
constexpr absl::string_view kOwnQueues =
    "is not needed: each endpoint has a completion queue of its own, as long "
    "as --num_qp times --max_wr";
constexpr absl::string_view kSideBySide =
    "is not needed: all devices register a buffer side by side";
constexpr absl::string_view kSameNumber =
    "is not needed: a device talks to the one of its number at the peer first";

// The first that fits counts.
constexpr NoEffect kNoEffect[] = {
    {"MC_NUM_CQ_PER_CTX", kOwnQueues},
    {"MC_NUM_COMP_CHANNELS_PER_CTX", kOwnQueues},
    {"MC_MAX_CQE_PER_CTX", kOwnQueues},
    {"MC_WORKERS_PER_CTX",
     "is not needed: callers move their data by themselves, and each device "
     "has a thread"},
    {"MC_ENABLE_PARALLEL_REG_MR", kSideBySide},
    {"MC_MAX_CONCURRENT_REG_MR", kSideBySide},
    {"MC_ENABLE_DEST_DEVICE_AFFINITY", kSameNumber},
    {"MC_ENABLE_HCA_PEER_AFFINITY", kSameNumber},
    {"MC_FORCE_HCA", "is not needed: see --protocol=rdma"},
    {"MC_NIC_PEER_AFFINITY", kOnlyThere},
    {"MC_MAX_MR_SIZE", kOnlyThere},
    {"MC_ENDPOINT_STORE_TYPE", kOnlyThere},
    {"MC_PATH_ROUNDROBIN", kOnlyThere},
    {"MC_AUTO_GID_MAX_RETRIES", kOnlyThere},
    {"MC_DISABLE_GPU_DIRECT_RDMA", kOnlyThere},
    {"MC_IB_*", kOnlyThere},
    {"MC_MS_*", kOnlyThere},
    {"MC_MLX5_*", kOnlyThere},
    {"MC_RDMA_*", kOnlyThere},
    {"MC_TRACK_RDMA_POSTED_SLICES", kOnlyThere},
    {"MC_LOG_RDMA_SLICE_AFFINITY", kOnlyThere},
    {"MC_EFA_NIC_SELECTION", kOnlyThere},
    {"MC_USE_IPV6",
     "needs no switch: an IPv6 address in --local_server_name is enough"},
    {"MC_HANDSHAKE_PORT", "is not needed: --local_server_name has the port"},
    {"MC_LEGACY_RPC_PORT_BINDING",
     "is not needed: --local_server_name has the port"},
    {"MC_TCP_ENABLE_CONNECTION_POOL",
     "is not needed: connections are always kept, see --tcp_streams"},
    {"MC_FRAGMENT_RATIO", "is not needed: see --slice_size"},
    {"MC_SLICE_TIMEOUT", "has no counterpart; see --request_timeout"},
    {"MC_METADATA_CLUSTER_ID", "is for metadata services"},
    {"MC_DISABLE_METACACHE", "is for metadata services"},
    {"MC_TE_METADATA_REFRESH_INTERVAL_SECONDS", "is for metadata services"},
    {"MC_HANDSHAKE_LISTEN_BACKLOG", kOnlyThere},
    {"MC_CONN_PAUSE_TTL_MS", kOnlyThere},
    {"MC_MIN_REG_SIZE", kOnlyThere},
    {"MC_RPC_PROTOCOL", kOnlyThere},
    {"MC_TE_METRIC*", kOnlyThere},
    {"MC_USE_TENT", kOnlyThere},
    {"MC_USE_TEV1", kOnlyThere},
    {"MC_TENT_CONF", kOnlyThere},
    {"MC_CXL_*", kOnlyThere},
    {"MC_HIP_*", kOnlyThere},
    {"MC_USE_HIP_IPC", kOnlyThere},
    {"MC_USE_NVLINK_IPC", kOnlyThere},
    {"MC_INTRA_NVLINK", kOnlyThere},
    {"MC_INTRANODE_NVLINK", kOnlyThere},
    {"MC_FORCE_MNNVL", kOnlyThere},
    {"MC_ENABLE_MNNVL", kOnlyThere},
    {"MC_STORE_*", "is for the store, not for the transfer engine"},
    {"MC_YLT_LOG_LEVEL", kOnlyThere},
};

absl::Status Bad(const std::string& name, const std::string& value,
                 absl::string_view wanted) {
  return absl::InvalidArgumentError(absl::StrCat(
      "environment variable ", name, ": \"", value, "\" is no ", wanted));
}

// The flag's value that means the same.
absl::StatusOr<std::string> Translate(const Variable& variable,
                                      const std::string& name,
                                      const std::string& value) {
  uint64_t count = 0;
  double seconds = 0;
  switch (variable.kind) {
    case Kind::kCount:
      if (absl::SimpleAtoi(value, &count)) return value;
      return Bad(name, value, "whole number");
    case Kind::kSeconds:
      if (absl::SimpleAtod(value, &seconds) && seconds > 0) return value;
      return Bad(name, value, "number of seconds");
    case Kind::kForceTcp: {
      const std::string lower = absl::AsciiStrToLower(value);
      if (lower == "1" || lower == "true") return std::string("tcp");
      if (lower == "0" || lower == "false") return std::string();
      return Bad(name, value, "bool (0|1|true|false)");
    }
    case Kind::kLogLevel: {
      constexpr absl::string_view kLevels[] = {"INFO", "WARNING", "ERROR"};
      if (value == "TRACE") return std::string("0");
      const auto* level =
          std::find(std::begin(kLevels), std::end(kLevels), value);
      if (level != std::end(kLevels)) return absl::StrCat(level - kLevels);
      return Bad(name, value, "level (TRACE|INFO|WARNING|ERROR)");
    }
    case Kind::kRelaxedOrdering:
      // 2 is 1 where the device can, which is what the flag means.
      if (value == "0") return std::string("false");
      if (value == "1" || value == "2") return std::string("true");
      return Bad(name, value, "mode (0|1|2)");
    case Kind::kText:
    case Kind::kPort:
      break;
  }
  return value;
}

absl::StatusOr<uint16_t> Port(
    const std::map<std::string, std::string>& variables, const char* name,
    uint16_t otherwise) {
  const auto found = variables.find(name);
  if (found == variables.end()) return otherwise;
  uint32_t port = 0;
  if (!absl::SimpleAtoi(found->second, &port) || port == 0 || port > 65535) {
    return Bad(name, found->second, "port");
  }
  return static_cast<uint16_t>(port);
}

// Three variables together are what --local_server_name says at once: each
// fills in what the flag leaves open.
absl::Status ListenName(const std::map<std::string, std::string>& variables,
                        const std::string& flag, EnvironmentEffect& effect) {
  const auto address = variables.find("MC_TCP_BIND_ADDRESS");
  const bool has_ports = variables.count("MC_MIN_RPC_PORT") > 0 ||
                         variables.count("MC_MAX_RPC_PORT") > 0;
  std::string used;
  HostPortRange name;
  if (!flag.empty()) {
    // What is wrong with it is for the engine to say.
    absl::StatusOr<HostPortRange> parsed = HostPortRange::Parse(flag);
    if (!parsed.ok()) return absl::OkStatus();
    name = *std::move(parsed);
  } else if (address != variables.end()) {
    absl::StatusOr<HostPort> parsed = HostPort::Parse(address->second);
    if (!parsed.ok() || parsed->port.has_value()) {
      return Bad(address->first, address->second, "address without port");
    }
    name.host = parsed->host;
    used = address->first;
  }
  if (has_ports && !name.ports.has_value()) {
    // The other end of the range as it is where these variables come from.
    constexpr uint16_t kFirst = 15000;
    constexpr uint16_t kLast = 17000;
    TE_ASSIGN_OR_RETURN(const uint16_t first,
                        Port(variables, "MC_MIN_RPC_PORT", kFirst));
    TE_ASSIGN_OR_RETURN(const uint16_t last,
                        Port(variables, "MC_MAX_RPC_PORT", kLast));
    if (first > last) {
      return Bad("MC_MIN_RPC_PORT", absl::StrCat(first),
                 absl::StrCat("port up to the last one, ", last));
    }
    if (name.host.empty()) {
      effect.warnings.push_back(
          "MC_MIN_RPC_PORT and MC_MAX_RPC_PORT have no effect without the host "
          "in --local_server_name or MC_TCP_BIND_ADDRESS");
      return absl::OkStatus();
    }
    name.ports = PortRange{.first = first, .last = last};
    absl::StrAppend(&used, used.empty() ? "" : ", ", "MC_MIN_RPC_PORT");
  }
  if (!used.empty()) {
    effect.flags.push_back({.flag = "local_server_name",
                            .value = name.ToString(),
                            .variable = used});
  }
  return absl::OkStatus();
}

bool Matches(absl::string_view pattern, absl::string_view name) {
  return absl::ConsumeSuffix(&pattern, "*") ? absl::StartsWith(name, pattern)
                                            : name == pattern;
}

std::string WarningFor(const std::string& name) {
  for (const NoEffect& known : kNoEffect) {
    if (Matches(known.name, name)) {
      return absl::StrCat("environment variable ", name, " has no effect: it ",
                          known.why);
    }
  }
  return absl::StrCat("unknown environment variable ", name,
                      "; --help lists those that have an effect");
}

}  // namespace

absl::StatusOr<EnvironmentEffect> InterpretEnvironment(
    std::map<std::string, std::string> variables,
    const std::set<std::string>& given, const std::string& local_server_name) {
  // That is how scripts and containers take back what was set before.
  std::erase_if(variables,
                [](const auto& variable) { return variable.second.empty(); });
  EnvironmentEffect effect;
  for (const auto& [name, value] : variables) {
    const auto* variable = std::find_if(
        std::begin(kVariables), std::end(kVariables),
        [&name = name](const Variable& v) { return v.name == name; });
    if (variable == std::end(kVariables)) {
      effect.warnings.push_back(WarningFor(name));
      continue;
    }
    const std::string flag(variable->flag);
    if (variable->kind == Kind::kPort || given.count(flag) > 0) continue;
    TE_ASSIGN_OR_RETURN(std::string meant, Translate(*variable, name, value));
    if (meant.empty()) continue;
    effect.flags.push_back(
        {.flag = flag, .value = std::move(meant), .variable = name});
  }
  TE_RETURN_IF_ERROR(ListenName(variables, local_server_name, effect));
  return effect;
}

std::map<std::string, std::string> ReadEnvironment() {
  std::map<std::string, std::string> variables;
  for (char** entry = environ; *entry != nullptr; ++entry) {
    const absl::string_view text = *entry;
    if (!absl::StartsWith(text, "MC_")) continue;
    const size_t equals = std::min(text.find('='), text.size() - 1);
    variables.emplace(text.substr(0, equals), text.substr(equals + 1));
  }
  return variables;
}

std::string DescribeEnvironment() {
  std::string text;
  for (const Variable& variable : kVariables) {
    absl::StrAppendFormat(&text, "  %-29s --%s (%s)\n", variable.name,
                          variable.flag, variable.meaning);
  }
  return text;
}

}  // namespace te::bench
