#ifndef TE_CORE_SUBMISSION_H_
#define TE_CORE_SUBMISSION_H_

#include <cstddef>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "te/core/batch_pool.h"
#include "te/core/batch_state.h"
#include "te/core/buffer_registry.h"
#include "te/core/request.h"
#include "te/core/segment_table.h"
#include "te/metadata/buffer_table.h"

namespace te {

// Turns requests into a batch that is ready to launch: validates each against
// the local buffers and a snapshot of its segment, and cuts it into slices.
// Used for one batch, on the submitting thread.
class Submission {
 public:
  // All outlive it. `batch` has been acquired for `requests`.
  Submission(BufferRegistry& buffers, const SegmentTable& segments,
             uint32_t slice_bytes, BatchPool& pool, BatchState& batch,
             absl::Span<const Request> requests);

  // Requests that are wrong end in the batch. kResourceExhausted: too many
  // slices; the batch must then be returned to the pool.
  absl::Status Prepare();

 private:
  // The index of the segment's peer in the batch; the segments of consecutive
  // requests are mostly the same.
  absl::StatusOr<size_t> PeerIndex(SegmentId segment);
  // The buffer that a request goes to: mostly that of the one before.
  absl::StatusOr<const BufferDescriptor*> FindRemote(size_t peer,
                                                     const Request& request);
  absl::Status Admit(size_t index);
  void AddSlices(size_t index);

  BufferRegistry& buffers_;
  const SegmentTable& segments_;
  const uint32_t slice_bytes_;
  BatchPool& pool_;
  BatchState& batch_;
  const absl::Span<const Request> requests_;

  size_t slices_ = 0;
  // What FindRemote has found last, for that peer.
  const BufferDescriptor* found_ = nullptr;
  size_t found_peer_ = 0;
  // What AddSlices has looked up last: the key of that buffer.
  const BufferDescriptor* key_of_ = nullptr;
  absl::string_view key_;
};

}  // namespace te

#endif  // TE_CORE_SUBMISSION_H_
