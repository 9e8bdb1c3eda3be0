#ifndef TE_TOOLS_TOPO_OPTIONS_H_
#define TE_TOOLS_TOPO_OPTIONS_H_

#include <cstdint>
#include <optional>
#include <string>

#include "absl/status/statusor.h"
#include "te/base/memory_location.h"
#include "te/topology/nic_ranking.h"

namespace te::tools {

// As on the command line.
struct TopoFlags {
  std::string xml;
  std::string sysfs;
  std::string format = "text";
  std::string explain;
  std::string location;
  std::string device_name;
  std::string exclude_device_name;
  int64_t spread = 0;
};

enum class TopoFormat : uint8_t { kText, kJson, kMatrix, kSvg, kHtml };

struct TopoOptions {
  // A file with a topology, or "-"; empty: this machine.
  std::string xml;
  // Of that machine; empty: none.
  std::string sysfs;
  TopoFormat format = TopoFormat::kText;
  std::optional<MemoryLocation> explain;
  // For the colours of a picture. Nothing: the first one.
  std::optional<MemoryLocation> location;
  NicPolicy policy;
};

// INVALID_ARGUMENT says what is wrong.
absl::StatusOr<TopoOptions> ParseTopoOptions(const TopoFlags& flags);

}  // namespace te::tools

#endif  // TE_TOOLS_TOPO_OPTIONS_H_
