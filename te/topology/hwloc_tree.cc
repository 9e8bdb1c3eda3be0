#include "te/topology/hwloc_tree.h"

#include <stdint.h>

#include <algorithm>
#include <map>
#include <optional>
#include <pugixml.hpp>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "te/base/status_macros.h"
#include "te/topology/device_name.h"
#include "te/topology/pci_address.h"

namespace te {
namespace {

// Real machines have a tenth of these.
constexpr size_t kMaxBytes = size_t{16} << 20;
constexpr int kMaxDepth = 100;
constexpr size_t kMaxNodes = 512;
constexpr size_t kMaxBitmapWords = 1024;  // of 32 CPUs each
constexpr size_t kMaxDevices = 32768;
constexpr size_t kMaxPackages = 1024;
constexpr size_t kMaxWarnings = 100;

std::string Quoted(absl::string_view text) {
  return absl::StrCat("'", absl::CHexEscape(text.substr(0, 100)), "'");
}

// hwloc's notation of a set: words of 32 bits, the highest first, of which
// empty ones are 0, as in "0xff,,0x00000001". A set that has no end
// ("0xf...f") or is malformed is taken for empty, which means unknown.
std::vector<int> ParseSet(absl::string_view text) {
  const std::vector<absl::string_view> words = absl::StrSplit(text, ',');
  if (words.size() > kMaxBitmapWords) return {};
  std::vector<int> members;
  for (size_t i = 0; i < words.size(); ++i) {
    const absl::string_view digits = words[words.size() - 1 - i];
    uint32_t word = 0;
    if (!digits.empty() && !absl::SimpleHexAtoi(digits, &word)) return {};
    for (int bit = 0; bit < 32; ++bit) {
      if ((word >> bit & 1) != 0) {
        members.push_back(static_cast<int>(i) * 32 + bit);
      }
    }
  }
  return members;
}

bool Contains(const std::vector<int>& set, int member) {
  return std::binary_search(set.begin(), set.end(), member);
}

absl::string_view Attribute(const pugi::xml_node& object, const char* name) {
  return object.attribute(name).as_string();
}

std::map<std::string, std::string> Infos(const pugi::xml_node& object) {
  std::map<std::string, std::string> infos;
  for (const pugi::xml_node& info : object.children("info")) {
    infos.emplace(Attribute(info, "name"), Attribute(info, "value"));
  }
  return infos;
}

std::string Find(const std::map<std::string, std::string>& infos,
                 const char* name) {
  const auto found = infos.find(name);
  return found == infos.end() ? "" : found->second;
}

// "0000:[17-39]"; empty if it is anything else.
std::string Buses(absl::string_view text) {
  constexpr size_t kLongest = 20;
  const bool sound =
      text.size() <= kLongest &&
      std::all_of(text.begin(), text.end(), [](char c) {
        return absl::ascii_isxdigit(c) ||
               absl::string_view(":[]-").find(c) != absl::string_view::npos;
      });
  return sound ? std::string(text) : "";
}

// "0207 [15b3:1021] [15b3:0041] 00": class, vendor and device, the board's
// vendor and device, revision.
bool ParsePciType(absl::string_view text, PciFunction& function) {
  if (text.size() < 16 || text.substr(4, 2) != " [" || text[10] != ':') {
    return false;
  }
  uint32_t class_id;
  uint32_t vendor;
  uint32_t device;
  if (!absl::SimpleHexAtoi(text.substr(0, 4), &class_id) ||
      !absl::SimpleHexAtoi(text.substr(6, 4), &vendor) ||
      !absl::SimpleHexAtoi(text.substr(11, 4), &device)) {
    return false;
  }
  function.class_id = static_cast<uint16_t>(class_id);
  function.vendor_id = static_cast<uint16_t>(vendor);
  function.device_id = static_cast<uint16_t>(device);
  return true;
}

// hwloc_obj_osdev_type_t of hwloc 1 and 2.
OsDevice::Kind ParseKind(absl::string_view osdev_type) {
  if (osdev_type == "2") return OsDevice::Kind::kNetwork;
  if (osdev_type == "3") return OsDevice::Kind::kRdma;
  if (osdev_type == "1" || osdev_type == "5") return OsDevice::Kind::kGpu;
  return OsDevice::Kind::kOther;
}

// What an object has from those above it.
struct Surroundings {
  DevicePlace place;
  int depth = 0;
};

// One walk through the objects.
class TreeReader {
 public:
  absl::StatusOr<HwlocTree> Read(const pugi::xml_node& topology) {
    for (const pugi::xml_node& object : topology.children("object")) {
      TE_RETURN_IF_ERROR(ReadObject(object, Surroundings{}));
    }
    TE_RETURN_IF_ERROR(FinishNodes(topology.child("object")));
    for (const pugi::xml_node& distances : topology.children("distances2")) {
      ReadDistances(distances);
    }
    return std::move(tree_);
  }

 private:
  struct Package {
    int index;
    std::vector<int> nodes;
  };

  absl::Status ReadObject(const pugi::xml_node& object, Surroundings above);
  absl::Status ReadNode(const pugi::xml_node& object);
  void ReadBridge(const pugi::xml_node& object, Surroundings& above);
  void ReadPciFunction(const pugi::xml_node& object, Surroundings& above);
  void ReadOsDevice(const pugi::xml_node& object, const Surroundings& above);
  void ReadDistances(const pugi::xml_node& distances);
  absl::Status FinishNodes(const pugi::xml_node& machine);
  int PackageOf(int node) const;

  void Warn(std::string warning) {
    if (tree_.warnings.size() < kMaxWarnings) {
      tree_.warnings.push_back(std::move(warning));
    }
  }

  HwlocTree tree_;
  std::vector<Package> packages_;
};

absl::Status TreeReader::ReadObject(const pugi::xml_node& object,
                                    Surroundings above) {
  if (++above.depth > kMaxDepth) {
    return absl::InvalidArgumentError(absl::StrCat(
        "its objects are nested more than ", kMaxDepth, " levels deep"));
  }
  const absl::string_view type = Attribute(object, "type");
  if (type == "Bridge") {
    ReadBridge(object, above);
  } else if (type == "PCIDev") {
    ReadPciFunction(object, above);
  } else if (type == "OSDev") {
    ReadOsDevice(object, above);
  } else if (const pugi::xml_attribute set = object.attribute("nodeset")) {
    // Whatever is no I/O says which NUMA nodes are near to what is below it.
    above.place.nodes = ParseSet(set.as_string());
    if (above.place.nodes.size() > kMaxNodes) above.place.nodes.clear();
  }
  if (type == "NUMANode") TE_RETURN_IF_ERROR(ReadNode(object));
  // hwloc 1.10 and older say Socket.
  if (type == "Package" || type == "Socket") {
    packages_.push_back(
        {object.attribute("os_index").as_int(-1), above.place.nodes});
  }
  if (packages_.size() > kMaxPackages) {
    return absl::InvalidArgumentError(
        absl::StrCat("it has more than ", kMaxPackages, " packages"));
  }
  if (tree_.functions.size() + tree_.bridges.size() + tree_.os_devices.size() >
      kMaxDevices) {
    return absl::InvalidArgumentError(
        absl::StrCat("it has more than ", kMaxDevices, " devices"));
  }
  for (const pugi::xml_node& child : object.children("object")) {
    TE_RETURN_IF_ERROR(ReadObject(child, above));
  }
  return absl::OkStatus();
}

absl::Status TreeReader::ReadNode(const pugi::xml_node& object) {
  const absl::string_view index = Attribute(object, "os_index");
  NumaNode node;
  if (!absl::SimpleAtoi(index, &node.index) || node.index < 0 ||
      node.index > UINT16_MAX) {
    return absl::InvalidArgumentError(
        absl::StrCat("it has a NUMA node with the number ", Quoted(index)));
  }
  if (tree_.nodes.size() == kMaxNodes) {
    return absl::InvalidArgumentError(
        absl::StrCat("it has more than ", kMaxNodes, " NUMA nodes"));
  }
  node.cpus = ParseSet(Attribute(object, "cpuset"));
  node.memory_bytes = object.attribute("local_memory").as_ullong();
  if (const std::string gpu = Find(Infos(object), "PCIBusID"); !gpu.empty()) {
    const absl::StatusOr<PciAddress> address = PciAddress::Parse(gpu);
    if (address.ok()) {
      node.gpu = *address;
      node.cpus.clear();
    } else {
      Warn(absl::StrCat("NUMA node ", node.index, ": PCIBusID ",
                        address.status().message()));
    }
  }
  tree_.nodes.push_back(std::move(node));
  return absl::OkStatus();
}

void TreeReader::ReadBridge(const pugi::xml_node& object, Surroundings& above) {
  PciBridge bridge = {.parent = above.place.bridge,
                      .buses = Buses(Attribute(object, "bridge_pci")),
                      .nodes = above.place.nodes};
  // From the host's side (0) or from PCI's (1), always to PCI.
  if (Attribute(object, "bridge_type") == "0-1") {
    bridge.kind = PciBridge::Kind::kHost;
    bridge.parent = -1;
  } else {
    const absl::StatusOr<PciAddress> address =
        PciAddress::Parse(Attribute(object, "pci_busid"));
    if (address.ok()) {
      bridge.pci = *address;
    } else {
      Warn(absl::StrCat("a bridge: ", address.status().message()));
    }
  }
  above.place.bridge = static_cast<int>(tree_.bridges.size());
  tree_.bridges.push_back(std::move(bridge));
}

void TreeReader::ReadPciFunction(const pugi::xml_node& object,
                                 Surroundings& above) {
  const absl::StatusOr<PciAddress> address =
      PciAddress::Parse(Attribute(object, "pci_busid"));
  if (!address.ok()) {
    Warn(absl::StrCat("a PCI device: ", address.status().message()));
    return;
  }
  above.place.pci = *address;
  const std::map<std::string, std::string> infos = Infos(object);
  PciFunction function = {.place = above.place,
                          .vendor = Find(infos, "PCIVendor"),
                          .model = Find(infos, "PCIDevice")};
  if (!ParsePciType(Attribute(object, "pci_type"), function)) {
    Warn(absl::StrCat("the PCI device ", address->ToString(), ": its pci_type ",
                      Quoted(Attribute(object, "pci_type")),
                      " is not understood"));
  }
  tree_.functions.push_back(std::move(function));
}

void TreeReader::ReadOsDevice(const pugi::xml_node& object,
                              const Surroundings& above) {
  const absl::string_view name = Attribute(object, "name");
  const OsDevice::Kind kind = ParseKind(Attribute(object, "osdev_type"));
  if (kind == OsDevice::Kind::kOther) return;
  if (!IsDeviceName(name)) {
    Warn(absl::StrCat(Quoted(name), " is no name of a device"));
    return;
  }
  tree_.os_devices.push_back({.kind = kind,
                              .name = std::string(name),
                              .place = above.place,
                              .infos = Infos(object)});
}

// The only package that has the node.
int TreeReader::PackageOf(int node) const {
  int found = -1;
  for (const Package& package : packages_) {
    if (!Contains(package.nodes, node)) continue;
    if (found != -1) return -1;
    found = package.index;
  }
  return found;
}

absl::Status TreeReader::FinishNodes(const pugi::xml_node& machine) {
  std::vector<NumaNode>& nodes = tree_.nodes;
  // hwloc 1 shows no node where the kernel knows of no NUMA.
  if (nodes.empty()) {
    nodes.push_back(
        {.cpus = ParseSet(Attribute(machine, "cpuset")),
         .memory_bytes = machine.attribute("local_memory").as_ullong()});
  }
  std::sort(
      nodes.begin(), nodes.end(),
      [](const NumaNode& a, const NumaNode& b) { return a.index < b.index; });
  const pugi::xml_attribute allowed = machine.attribute("allowed_nodeset");
  const std::vector<int> allowed_nodes = ParseSet(allowed.as_string());
  for (size_t i = 0; i < nodes.size(); ++i) {
    if (i > 0 && nodes[i].index == nodes[i - 1].index) {
      return absl::InvalidArgumentError(absl::StrCat(
          "it has the NUMA node ", nodes[i].index, " more than once"));
    }
    nodes[i].package = PackageOf(nodes[i].index);
    nodes[i].allowed =
        allowed_nodes.empty() || Contains(allowed_nodes, nodes[i].index);
  }
  return absl::OkStatus();
}

// A matrix in one row: "10 21 21 10".
void TreeReader::ReadDistances(const pugi::xml_node& distances) {
  constexpr unsigned kMeansLatency = 4;  // HWLOC_DISTANCES_KIND_MEANS_LATENCY
  if (Attribute(distances, "type") != "NUMANode" ||
      (distances.attribute("kind").as_uint() & kMeansLatency) == 0) {
    return;
  }
  const auto numbers = [&](const char* element) {
    std::vector<int> values;
    for (const pugi::xml_node& part : distances.children(element)) {
      for (const absl::string_view text :
           absl::StrSplit(part.child_value(), ' ', absl::SkipWhitespace())) {
        int value;
        values.push_back(absl::SimpleAtoi(text, &value) ? value : -1);
      }
    }
    return values;
  };
  const std::vector<int> indexes = numbers("indexes");
  const std::vector<int> values = numbers("u64values");
  const auto negative = [](int value) { return value < 0; };
  if (indexes.size() > kMaxNodes ||
      values.size() != indexes.size() * indexes.size() ||
      std::any_of(values.begin(), values.end(), negative) ||
      std::any_of(indexes.begin(), indexes.end(), negative)) {
    Warn("the matrix of latencies between NUMA nodes is not understood");
    return;
  }
  for (size_t i = 0; i < values.size(); ++i) {
    tree_.numa_latencies[{indexes[i / indexes.size()],
                          indexes[i % indexes.size()]}] = values[i];
  }
}

absl::StatusOr<HwlocTree> ParseTopology(absl::string_view xml) {
  if (xml.size() > kMaxBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat("it has more than ", kMaxBytes >> 20, " MiB"));
  }
  pugi::xml_document document;
  const pugi::xml_parse_result parsed =
      document.load_buffer(xml.data(), xml.size());
  if (!parsed) {
    const absl::string_view read =
        xml.substr(0, static_cast<size_t>(parsed.offset));
    return absl::InvalidArgumentError(
        absl::StrCat("line ", 1 + std::count(read.begin(), read.end(), '\n'),
                     ": ", parsed.description()));
  }
  const pugi::xml_node topology = document.document_element();
  if (absl::string_view(topology.name()) != "topology") {
    return absl::InvalidArgumentError(
        absl::StrCat("it begins with <", absl::CHexEscape(topology.name()),
                     ">, and not with <topology>"));
  }
  // "2.0"; hwloc 1 writes none.
  if (const absl::string_view version = Attribute(topology, "version");
      !version.empty() && version[0] != '1' && version[0] != '2') {
    return absl::InvalidArgumentError(absl::StrCat(
        "its format is ", Quoted(version), ", but 1 and 2 are understood"));
  }
  if (!topology.child("object")) {
    return absl::InvalidArgumentError("it has no object");
  }
  return TreeReader().Read(topology);
}

}  // namespace

absl::StatusOr<HwlocTree> ParseHwlocTree(absl::string_view xml) {
  absl::StatusOr<HwlocTree> tree = ParseTopology(xml);
  if (tree.ok()) return tree;
  return absl::Status(
      tree.status().code(),
      absl::StrCat("the topology XML cannot be read: ", tree.status().message(),
                   ". lstopo --of xml writes such a file"));
}

}  // namespace te
