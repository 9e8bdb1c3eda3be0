#include "te/topology/hwloc_topology.h"

#include <errno.h>
#include <hwloc.h>

#include <limits>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "te/base/errno_status.h"
#include "te/base/status_macros.h"

namespace te {
namespace {

absl::Status NotReadable(absl::string_view what) {
  return absl::InvalidArgumentError(
      absl::StrCat("hwloc ", HWLOC_VERSION, " cannot read the ", what,
                   "; it can be checked with lstopo"));
}

}  // namespace

absl::StatusOr<HwlocTopology::Owned> HwlocTopology::New() {
  hwloc_topology_t topology = nullptr;
  if (hwloc_topology_init(&topology) != 0) {
    return ErrnoToStatus(errno, "hwloc_topology_init");
  }
  return Owned(topology);
}

absl::StatusOr<HwlocTopology> HwlocTopology::OfThisMachine() {
  TE_ASSIGN_OR_RETURN(Owned topology, New());
  if (hwloc_topology_load(topology.get()) != 0) {
    return ErrnoToStatus(
        errno, "discover this machine's topology with hwloc; is /sys mounted?");
  }
  return HwlocTopology(std::move(topology));
}

absl::StatusOr<HwlocTopology> HwlocTopology::FromXml(const std::string& xml) {
  // hwloc takes the length, the final zero included, as an int.
  if (xml.size() >= std::numeric_limits<int>::max()) {
    return NotReadable("topology XML: it is over 2 GiB");
  }
  TE_ASSIGN_OR_RETURN(Owned topology, New());
  if (hwloc_topology_set_xmlbuffer(topology.get(), xml.c_str(),
                                   static_cast<int>(xml.size() + 1)) != 0 ||
      hwloc_topology_load(topology.get()) != 0) {
    return NotReadable("topology XML");
  }
  return HwlocTopology(std::move(topology));
}

absl::StatusOr<HwlocTopology> HwlocTopology::FromSynthetic(
    const std::string& description) {
  TE_ASSIGN_OR_RETURN(Owned topology, New());
  if (hwloc_topology_set_synthetic(topology.get(), description.c_str()) != 0 ||
      hwloc_topology_load(topology.get()) != 0) {
    return NotReadable(absl::StrCat("synthetic topology '", description, "'"));
  }
  return HwlocTopology(std::move(topology));
}

}  // namespace te
