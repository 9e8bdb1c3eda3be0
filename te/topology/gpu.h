#ifndef TE_TOPOLOGY_GPU_H_
#define TE_TOPOLOGY_GPU_H_

#include <stdint.h>

#include <string>

#include "te/topology/device_place.h"

namespace te {

// A GPU or another accelerator on PCI. A value.
struct Gpu {
  // N of "cuda:N": its place among the GPUs of its vendor by PCI address, as
  // with CUDA_DEVICE_ORDER=PCI_BUS_ID; or CUDA's own number, if an XML has
  // that. A process to which CUDA_VISIBLE_DEVICES hides some counts only the
  // others. -1 if no location means it.
  int index = -1;
  DevicePlace place;
  uint16_t vendor_id = 0;  // of PCI: 0x10de is NVIDIA
  uint16_t device_id = 0;
  // "NVIDIA 10de:2335", or the model's name where hwloc knows it.
  std::string name;

  friend bool operator==(const Gpu&, const Gpu&) = default;
};

}  // namespace te

#endif  // TE_TOPOLOGY_GPU_H_
