#ifndef TE_RDMA_VERBS_DEVICE_FILE_H_
#define TE_RDMA_VERBS_DEVICE_FILE_H_

#include <string>

namespace te::rdma {

// Why this process cannot open the device file `path` for reading and writing:
// an errno, or 0 if it can. libibverbs does not tell: where the file cannot be
// opened it waits some seconds for another name of it, and leaves the errno of
// that.
int OpenError(const std::string& path);

}  // namespace te::rdma

#endif  // TE_RDMA_VERBS_DEVICE_FILE_H_
