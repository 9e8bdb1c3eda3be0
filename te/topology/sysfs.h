#ifndef TE_TOPOLOGY_SYSFS_H_
#define TE_TOPOLOGY_SYSFS_H_

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/attributes.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "te/topology/device_place.h"
#include "te/topology/pci_address.h"

namespace te {

// Reads a sysfs, or a copy of one: "/sys", a folder of a test. Paths are
// relative to the root. Devices may vanish while they are looked at, so each
// call may fail. Thread-safe.
class Sysfs {
 public:
  explicit Sysfs(std::string root) : root_(std::move(root)) {}

  const std::string& root() const ABSL_ATTRIBUTE_LIFETIME_BOUND {
    return root_;
  }

  // An attribute without white space at its end. NOT_FOUND if there is none;
  // INVALID_ARGUMENT if it is no file, has more than 4096 bytes, which no
  // attribute of the kernel has, or unprintable ones.
  absl::StatusOr<std::string> Read(absl::string_view path) const;

  // The names in a folder, numbers in them ordered by value. NOT_FOUND if it
  // does not exist.
  absl::StatusOr<std::vector<std::string>> List(absl::string_view folder) const;

  bool Exists(absl::string_view path) const;

  // The last part of the path that a symbolic link leads to; empty if there is
  // none: "mlx5_core" for ".../device/driver".
  std::string LinkName(absl::string_view path) const;

  // The last part of where `path` leads to in the end; empty if it leads to
  // nothing.
  std::string RealName(absl::string_view path) const;

  // The PCI function that `path`, a link to a device, means or is below of, as
  // ".../0000:00:03.0/virtio2" is.
  std::optional<PciAddress> PciFunctionOf(absl::string_view path) const;

 private:
  std::string Whole(absl::string_view path) const;

  const std::string root_;
};

// The place of the device that `link` leads to, without its bridge. What is
// below a PCI function, as a sub-function is, has its NUMA node. A number that
// is none becomes a warning.
DevicePlace ReadPlace(const Sysfs& sysfs, const std::string& link,
                      std::vector<std::string>& warnings);

}  // namespace te

#endif  // TE_TOPOLOGY_SYSFS_H_
