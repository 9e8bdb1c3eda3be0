#include "te/tools/topo_picture.h"

#include <algorithm>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "glog/logging.h"
#include "nlohmann/json.hpp"
#include "te/tools/topo_boxes.h"
#include "te/topology/distance.h"
#include "te/topology/machine.h"
#include "te/topology/nic_ranking.h"

namespace te::tools {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kMargin = 10;
constexpr int kLegend = 60;

// Of NICs, by how they stand to the location; the legend has this order.
struct Shade {
  absl::string_view name;  // a class of CSS
  absl::string_view title;
  absl::string_view colour;
};
constexpr Shade kShades[] = {
    {"same_switch", "same PCIe switch", "#1a9850"},
    {"same_root_complex", "same root complex", "#66bd63"},
    {"same_numa_node", "same NUMA node", "#a6d96a"},
    {"same_socket", "same socket", "#fee08b"},
    {"other_socket", "other socket", "#f46d43"},
    {"anywhere", "any memory", "#d9d9d9"},
    {"left_out", "left out", "#ffffff"},
};

constexpr absl::string_view kStyle = R"(
text { font: 12px sans-serif; fill: #222; }
.first { font-weight: bold; }
rect { fill: #fff; stroke: #777; }
.bridge > rect { fill: #f2f2f2; }
.node > rect { fill: #eef4fb; }
.gpu > rect { fill: #e0d4ef; }
.net_device > rect { fill: #fafafa; stroke-dasharray: 3 2; }
.left_out > rect { stroke-dasharray: 3 2; }
.chosen > rect { stroke: #08519c; stroke-width: 3; }
)";

// Text within an element or an attribute. Bytes that XML does not have, or that
// are no ASCII, become question marks.
std::string Escaped(absl::string_view text) {
  std::string printable(text);
  for (char& c : printable) {
    if (!absl::ascii_isprint(c)) c = '?';
  }
  return absl::StrReplaceAll(
      printable,
      {{"&", "&amp;"}, {"<", "&lt;"}, {">", "&gt;"}, {"\"", "&quot;"}});
}

absl::string_view ShadeOf(MemoryLocation memory, const RankedNic& ranked) {
  if (ranked.standing == Standing::kLeftOut) return "left_out";
  if (memory == MemoryLocation()) return "anywhere";
  return ProximityName(ranked.distance.proximity);
}

absl::string_view KindName(Box::Kind kind) {
  switch (kind) {
    case Box::Kind::kFrame:
      return "frame";
    case Box::Kind::kBridge:
      return "bridge";
    case Box::Kind::kNode:
      return "node";
    case Box::Kind::kGpu:
      return "gpu";
    case Box::Kind::kNic:
      return "nic";
    case Box::Kind::kNetDevice:
      return "net_device";
  }
  return "frame";
}

std::string Rect(int x, int y, int width, int height,
                 absl::string_view attributes) {
  return absl::StrCat("<rect x=\"", x, "\" y=\"", y, "\" width=\"", width,
                      "\" height=\"", height, "\" ", attributes, "/>");
}

std::string Text(int x, int y, absl::string_view text,
                 absl::string_view attributes = "") {
  return absl::StrCat("<text x=\"", x, "\" y=\"", y, "\"", attributes, ">",
                      Escaped(text), "</text>");
}

class Painter {
 public:
  explicit Painter(const TopoReport::Location& location)
      : location_(location) {}

  // The box, and what is in it.
  std::string Paint(const Box& box) const {
    std::string svg =
        absl::StrCat("<g class=\"", Class(box), "\"", Id(box), ">", Title(box));
    absl::StrAppend(&svg,
                    Rect(box.x, box.y, box.width, box.height, "rx=\"4\""));
    int y = box.y + 20;
    for (const std::string& line : box.lines) {
      const bool first = &line == &box.lines.front();
      absl::StrAppend(
          &svg, Text(box.x + 8, y, line, first ? " class=\"first\"" : ""));
      y += 16;
    }
    absl::StrAppend(&svg, "\n");
    for (const Box& child : box.children) absl::StrAppend(&svg, Paint(child));
    return absl::StrCat(svg, "</g>\n");
  }

 private:
  const RankedNic& RankOf(const Box& box) const {
    const auto found = std::find_if(
        location_.nics.begin(), location_.nics.end(),
        [&](const RankedNic& ranked) { return ranked.nic == box.nic; });
    CHECK(found != location_.nics.end());
    return *found;
  }

  std::string Class(const Box& box) const {
    std::string name(KindName(box.kind));
    if (box.kind == Box::Kind::kNic) {
      absl::StrAppend(&name, " ", ShadeOf(location_.memory, RankOf(box)));
    }
    if (box.memory == location_.memory) absl::StrAppend(&name, " chosen");
    return name;
  }

  // By which the page's script finds what it changes.
  static std::string Id(const Box& box) {
    if (box.kind == Box::Kind::kNic) {
      return absl::StrCat(" id=\"nic-", box.nic, "\"");
    }
    if (!box.memory.has_value()) return "";
    return absl::StrCat(" id=\"memory-", box.memory->ToString(), "\"");
  }

  std::string Title(const Box& box) const {
    if (box.kind != Box::Kind::kNic) return "";
    return absl::StrCat("<title>", Escaped(RankOf(box).reason), "</title>");
  }

  const TopoReport::Location& location_;
};

std::string Legend(MemoryLocation memory, int y) {
  std::string svg =
      Text(kMargin, y + 14,
           absl::StrCat("Distance of the NICs from ", memory.ToString(), ":"),
           " class=\"first\" id=\"legend\"");
  int x = kMargin;
  for (const Shade& shade : kShades) {
    absl::StrAppend(&svg, "<g class=\"", shade.name, "\">",
                    Rect(x, y + 24, 16, 16, "rx=\"3\""), "</g>",
                    Text(x + 22, y + 37, shade.title));
    x += 40 + 7 * static_cast<int>(shade.title.size());
  }
  return absl::StrCat(svg, "\n");
}

int LegendWidth() {
  int width = 2 * kMargin;
  for (const Shade& shade : kShades) {
    width += 40 + 7 * static_cast<int>(shade.title.size());
  }
  return width;
}

const TopoReport::Location& LocationOf(const TopoReport& report,
                                       MemoryLocation memory) {
  const auto found = std::find_if(
      report.locations.begin(), report.locations.end(),
      [&](const TopoReport::Location& l) { return l.memory == memory; });
  CHECK(found != report.locations.end()) << memory.ToString();
  return *found;
}

// What the page's script needs for each location: of each NIC its shade, and
// in the order of the ranking how it stands and why.
Json PageData(const TopoReport& report) {
  Json data = Json::object();
  for (const TopoReport::Location& location : report.locations) {
    Json& nics = data[location.memory.ToString()] = Json::array();
    for (const RankedNic& ranked : location.nics) {
      nics.push_back({{"nic", ranked.nic},
                      {"name", report.machine.nics[ranked.nic].name},
                      {"shade", ShadeOf(location.memory, ranked)},
                      {"preferred", ranked.standing == Standing::kPreferred},
                      {"reason", ranked.reason}});
    }
  }
  return data;
}

constexpr absl::string_view kScript = R"(
const data = JSON.parse(document.getElementById("data").textContent);
const choice = document.getElementById("choice");
function show() {
  document.getElementById("legend").textContent =
      "Distance of the NICs from " + choice.value + ":";
  for (const chosen of document.querySelectorAll(".chosen"))
    chosen.classList.remove("chosen");
  const memory = document.getElementById("memory-" + choice.value);
  if (memory) memory.classList.add("chosen");
  const rows = [];
  for (const nic of data[choice.value]) {
    const group = document.getElementById("nic-" + nic.nic);
    group.setAttribute("class", "nic " + nic.shade);
    group.querySelector("title").textContent = nic.reason;
    const row = document.createElement("tr");
    const standing = nic.preferred ? "preferred"
        : nic.shade == "left_out" ? "-" : "fallback";
    for (const text of [standing, nic.name, nic.reason]) {
      const cell = document.createElement("td");
      cell.textContent = text;
      row.append(cell);
    }
    rows.push(row);
  }
  document.getElementById("reasons").replaceChildren(...rows);
}
choice.addEventListener("change", show);
show();
)";

}  // namespace

std::string TopoSvg(const TopoReport& report, MemoryLocation memory) {
  Box machine = BoxesOf(report);
  LayOut(machine, kMargin, kMargin);
  const int width = std::max(machine.width + 2 * kMargin, LegendWidth());
  const int below = machine.height + 2 * kMargin;
  std::string style(kStyle);
  for (const Shade& shade : kShades) {
    absl::StrAppend(&style, ".", shade.name, " > rect { fill: ", shade.colour,
                    "; }\n");
  }
  return absl::StrCat("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"",
                      width, "\" height=\"", below + kLegend,
                      "\" viewBox=\"0 0 ", width, " ", below + kLegend,
                      "\">\n<style>",
                      absl::StrReplaceAll(style, {{">", "&gt;"}}), "</style>\n",
                      Painter(LocationOf(report, memory)).Paint(machine),
                      Legend(memory, below), "</svg>\n");
}

std::string TopoHtml(const TopoReport& report, MemoryLocation memory) {
  std::string options;
  for (const TopoReport::Location& location : report.locations) {
    absl::StrAppend(&options, "<option",
                    location.memory == memory ? " selected" : "", ">",
                    location.memory.ToString(), "</option>");
  }
  // In HTML a style is no XML: its > stays one.
  const std::string svg =
      absl::StrReplaceAll(TopoSvg(report, memory), {{" &gt; rect", " > rect"}});
  const std::string data =
      absl::StrReplaceAll(PageData(report).dump(-1, ' ', /*ensure_ascii=*/true,
                                                Json::error_handler_t::replace),
                          {{"<", "\\u003c"}});
  return absl::StrCat(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head><meta charset=\"utf-8\">"
      "<title>Topology</title>\n<style>body { font: 14px sans-serif; } td { "
      "padding-right: 2em; }</style></head>\n<body>\n<p><label>Memory "
      "<select id=\"choice\">",
      options, "</select></label></p>\n", svg,
      "<table><tbody id=\"reasons\"></tbody></table>\n"
      "<script type=\"application/json\" id=\"data\">",
      data, "</script>\n<script>", kScript, "</script>\n</body>\n</html>\n");
}

}  // namespace te::tools
