#include "te/core/submission.h"

#include <cstdint>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "te/base/status_macros.h"
#include "te/core/segment_view.h"
#include "te/core/slicer.h"
#include "te/metadata/buffer_table.h"
#include "te/transport/slice.h"

namespace te {

Submission::Submission(BufferRegistry& buffers, const SegmentTable& segments,
                       uint32_t slice_bytes, BatchPool& pool, BatchState& batch,
                       absl::Span<const Request> requests)
    : buffers_(buffers),
      segments_(segments),
      slice_bytes_(slice_bytes),
      pool_(pool),
      batch_(batch),
      requests_(requests) {}

absl::Status Submission::Prepare() {
  for (size_t i = 0; i < requests_.size(); ++i) {
    absl::Status status = Admit(i);
    if (!status.ok()) batch_.RejectRequest(i, std::move(status));
  }
  TE_RETURN_IF_ERROR(pool_.ReserveSlices(batch_, slices_));
  for (size_t i = 0; i < requests_.size(); ++i) {
    if (!batch_.rejected(i)) AddSlices(i);
  }
  return absl::OkStatus();
}

absl::StatusOr<const BufferDescriptor*> Submission::FindRemote(
    size_t peer, const Request& request) {
  if (found_ == nullptr || found_peer_ != peer ||
      !Allows(*found_, request.operation, request.remote_address,
              request.length)) {
    TE_ASSIGN_OR_RETURN(
        found_, batch_.route(peer).view->Find(
                    request.operation, request.remote_address, request.length));
    found_peer_ = peer;
  }
  return found_;
}

absl::Status Submission::Admit(size_t index) {
  const Request& request = requests_[index];
  if (request.length == 0) {
    return absl::InvalidArgumentError("a request of 0 bytes");
  }
  TE_ASSIGN_OR_RETURN(const size_t peer, PeerIndex(request.segment));
  TE_ASSIGN_OR_RETURN(const BufferDescriptor* const remote,
                      FindRemote(peer, request));
  static const BufferRegistry::LocalPin kNoHint;
  TE_ASSIGN_OR_RETURN(
      BufferRegistry::LocalPin pin,
      buffers_.PinLocal(request.local, request.length,
                        index == 0 ? kNoHint : batch_.pin(index - 1)));
  const size_t count = Cut(request.length, slice_bytes_).count;
  slices_ += count;
  batch_.SetRequest(index, std::move(pin), peer, *remote, count);
  return absl::OkStatus();
}

absl::StatusOr<size_t> Submission::PeerIndex(SegmentId segment) {
  if (const std::optional<size_t> known = batch_.FindPeer(segment)) {
    return *known;
  }
  TE_ASSIGN_OR_RETURN(std::shared_ptr<Peer> peer, segments_.Find(segment));
  TE_ASSIGN_OR_RETURN(std::shared_ptr<const Route> route, peer->route());
  return batch_.AddPeer(segment, std::move(peer), std::move(route));
}

void Submission::AddSlices(size_t index) {
  const Request& request = requests_[index];
  const Slicing slicing = Cut(request.length, slice_bytes_);
  const BufferRegistry::LocalPin& pin = batch_.pin(index);
  const BufferDescriptor& remote = batch_.remote(index);
  Slice slice;
  slice.operation = request.operation;
  slice.request = static_cast<uint32_t>(index);
  slice.local_slot = pin.slot();
  slice.local = static_cast<std::byte*>(request.local);
  slice.remote_address = request.remote_address;
  slice.remote_generation = remote.generation;
  if (key_of_ != &remote) {
    key_of_ = &remote;
    key_ = batch_.route_of_request(index).KeyOf(remote);
  }
  slice.remote_key = key_;
  for (size_t i = 0; i < slicing.count; ++i) {
    slice.length = i + 1 < slicing.count ? slicing.size : slicing.last;
    slice.local_location = pin.LocationOf(slice.local, slice.length);
    batch_.AddSlice(slice);
    slice.local += slice.length;
    slice.remote_address += slice.length;
  }
}

}  // namespace te
