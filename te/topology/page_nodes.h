#ifndef TE_TOPOLOGY_PAGE_NODES_H_
#define TE_TOPOLOGY_PAGE_NODES_H_

#include "absl/status/status.h"
#include "absl/types/span.h"

namespace te {

// Asks the kernel on which NUMA node each page is: `pages` has an address
// within each, and `nodes`, of the same size, gets the node's number, or -errno
// for a page of which the kernel tells nothing:
//   ENOENT: nobody has touched it so far, or it is swapped out;
//   EFAULT: nothing is mapped there, or it was only read so far, and stands for
//           the kernel's page of zeros; or, to older kernels (6.1), nobody has
//           touched it or any beside it.
// Touches and moves no page. Thread-safe.
//
// An error means that the kernel answers nobody here: PERMISSION_DENIED where
// seccomp forbids the call, as Docker does unless told otherwise, UNIMPLEMENTED
// where the kernel lacks it. What is in `nodes` then means nothing.
absl::Status FindPageNodes(absl::Span<void* const> pages,
                           absl::Span<int> nodes);

}  // namespace te

#endif  // TE_TOPOLOGY_PAGE_NODES_H_
