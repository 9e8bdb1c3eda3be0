#ifndef TE_RDMA_NIC_UNIT_H_
#define TE_RDMA_NIC_UNIT_H_

#include <cstdint>
#include <memory>

#include "te/rdma/device.h"
#include "te/rdma/device_worker.h"

namespace te::rdma {

// A NIC in use: the device and its thread, which goes first.
struct NicUnit {
  std::unique_ptr<Device> device;
  std::unique_ptr<DeviceWorker> worker;
  // Its index in PriorityMatrix::nics.
  uint16_t matrix_index = 0;
};

}  // namespace te::rdma

#endif  // TE_RDMA_NIC_UNIT_H_
