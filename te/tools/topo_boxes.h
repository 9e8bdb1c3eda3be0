#ifndef TE_TOOLS_TOPO_BOXES_H_
#define TE_TOOLS_TOPO_BOXES_H_

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "te/base/memory_location.h"
#include "te/tools/topo_report.h"

namespace te::tools {

// A machine as boxes within boxes: sockets, NUMA nodes, root complexes and PCIe
// switches, and in them the devices.
struct Box {
  enum class Kind : uint8_t { kFrame, kBridge, kNode, kGpu, kNic, kNetDevice };
  Kind kind = Kind::kFrame;
  // Of what it is, from the top.
  std::vector<std::string> lines;
  // Of a kNic: an index of Machine::nics. Of a kNode or kGpu: its memory.
  size_t nic = 0;
  std::optional<MemoryLocation> memory;
  std::vector<Box> children;

  // In pixels, as LayOut has it; the corner is relative to the whole.
  int x = 0;
  int y = 0;
  int width = 0;
  int height = 0;
};

// The machine of `report`, not laid out. Bridges with one thing below them are
// left out: what they lead to is the switch, or the device.
Box BoxesOf(const TopoReport& report);

// Gives `box`, which has no place yet, and all in it their places, `box` at
// (x, y).
void LayOut(Box& box, int x, int y);

}  // namespace te::tools

#endif  // TE_TOOLS_TOPO_BOXES_H_
