#ifndef TE_CORE_SUBMISSION_H_
#define TE_CORE_SUBMISSION_H_

#include <cstddef>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "te/core/batch_pool.h"
#include "te/core/batch_state.h"
#include "te/core/buffer_registry.h"
#include "te/core/request.h"
#include "te/core/segment_table.h"
#include "te/core/segment_view.h"
#include "te/core/slicer.h"

namespace te {

// Turns requests into a batch that is ready to launch: validates each against
// the local buffers and a snapshot of its segment, and cuts it into slices.
// Used for one batch, on the submitting thread.
class Submission {
 public:
  // All outlive it. `batch` has been acquired for `requests`.
  Submission(BufferRegistry& buffers, const SegmentTable& segments,
             const SliceBounds& bounds, BatchPool& pool, BatchState& batch,
             absl::Span<const Request> requests);

  // Requests that are wrong end in the batch. kResourceExhausted: too many
  // slices; the batch must then be returned to the pool.
  absl::Status Prepare();

 private:
  // The index of the segment's peer in the batch; the segments of consecutive
  // requests are mostly the same.
  absl::StatusOr<size_t> PeerIndex(SegmentId segment);
  // Whether a request goes to the same buffer as the latest run.
  bool HasSameRemote(const Request& request) const {
    return run_ != nullptr && request.segment == segment_ &&
           Allows(*run_->remote, request.operation, request.remote_address,
                  request.length);
  }
  // Whether it may be a part of that run: most requests may.
  bool Continues(const Request& request) const {
    return request.length > 0 && HasSameRemote(request) &&
           run_->pin.Contains(request.local, request.length);
  }
  absl::Status BeginRun(const Request& request);
  void AddSlices();

  BufferRegistry& buffers_;
  const SegmentTable& segments_;
  const SliceBounds bounds_;
  BatchPool& pool_;
  BatchState& batch_;
  const absl::Span<const Request> requests_;

  // The latest run, if there is one, and its segment.
  BatchState::Run* run_ = nullptr;
  SegmentId segment_;
};

}  // namespace te

#endif  // TE_CORE_SUBMISSION_H_
