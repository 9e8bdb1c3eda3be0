#include "te/topology/page_nodes.h"

#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "glog/logging.h"
#include "te/base/errno_status.h"

namespace te {

absl::Status FindPageNodes(absl::Span<void* const> pages,
                           absl::Span<int> nodes) {
  CHECK_EQ(pages.size(), nodes.size());
  constexpr pid_t kThisProcess = 0;
  // Without nodes to move to, it only tells: move_pages(2). libnuma's wrapper
  // adds nothing, and would be one more library to need.
  constexpr const int* kNoTarget = nullptr;
  if (syscall(SYS_move_pages, kThisProcess, pages.size(), pages.data(),
              kNoTarget, nodes.data(), 0) < 0) {
    return ErrnoToStatus(
        errno,
        "ask the kernel with move_pages on which NUMA nodes memory lies; name "
        "its location when registering it, or let the container make this call "
        "(Docker: --cap-add SYS_NICE)");
  }
  return absl::OkStatus();
}

}  // namespace te
