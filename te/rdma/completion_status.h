#ifndef TE_RDMA_COMPLETION_STATUS_H_
#define TE_RDMA_COMPLETION_STATUS_H_

#include <infiniband/verbs.h>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"

namespace te::rdma {

// What the end of a work request means for a slice, and for people: the status
// that the specification has (InfiniBand Architecture Specification, volume 1,
// 10.10.3; man 3 ibv_poll_cq), what mostly causes it, and what to do. `what` is
// the slice, `path` both ends of the connection; the vendor's error is kept.
//
// UNAVAILABLE: another path, or another connection, may do better. Any other
// error is the request's own: NOT_FOUND and PERMISSION_DENIED are about the
// peer's memory, FAILED_PRECONDITION about ours.
absl::Status CompletionStatus(ibv_wc_status status, uint32_t vendor_error,
                              absl::string_view what, absl::string_view path);

}  // namespace te::rdma

#endif  // TE_RDMA_COMPLETION_STATUS_H_
