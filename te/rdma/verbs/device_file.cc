#include "te/rdma/verbs/device_file.h"

#include <fcntl.h>

#include <cerrno>

#include "te/base/unique_fd.h"

namespace te::rdma {

// access() would not do: control groups of containers refuse open() alone.
int OpenError(const std::string& path) {
  const UniqueFd file(open(path.c_str(), O_RDWR | O_CLOEXEC));
  return file.valid() ? 0 : errno;
}

}  // namespace te::rdma
