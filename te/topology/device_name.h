#ifndef TE_TOPOLOGY_DEVICE_NAME_H_
#define TE_TOPOLOGY_DEVICE_NAME_H_

#include "absl/strings/string_view.h"

namespace te {

// Whether it can be the name of a device or of a network interface: printable
// ASCII without spaces, quotes and slashes, of 1 to 64 characters.
bool IsDeviceName(absl::string_view name);

// An order in which numbers count by their value: mlx5_2 is before mlx5_10.
bool DeviceNameLess(absl::string_view a, absl::string_view b);

}  // namespace te

#endif  // TE_TOPOLOGY_DEVICE_NAME_H_
