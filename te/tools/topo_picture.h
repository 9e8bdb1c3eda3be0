#ifndef TE_TOOLS_TOPO_PICTURE_H_
#define TE_TOOLS_TOPO_PICTURE_H_

#include <string>

#include "te/base/memory_location.h"
#include "te/tools/topo_report.h"

namespace te::tools {

// The machine as one SVG picture, which needs no other file: NUMA nodes, PCIe
// switches, NICs and GPUs. NICs have a colour for their distance from `memory`,
// which must be one of the report's locations, and a tooltip that says why.
std::string TopoSvg(const TopoReport& report, MemoryLocation memory);

// The same as a page, where another location can be chosen, and where the
// reasons stand below.
std::string TopoHtml(const TopoReport& report, MemoryLocation memory);

}  // namespace te::tools

#endif  // TE_TOOLS_TOPO_PICTURE_H_
