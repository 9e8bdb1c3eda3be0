#include "te/core/submission.h"

#include <cstdint>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "te/base/status_macros.h"
#include "te/core/slicer.h"
#include "te/metadata/buffer_table.h"
#include "te/transport/slice.h"

namespace te {

Submission::Submission(BufferRegistry& buffers, const SegmentTable& segments,
                       const SliceBounds& bounds, BatchPool& pool,
                       BatchState& batch, absl::Span<const Request> requests)
    : buffers_(buffers),
      segments_(segments),
      bounds_(bounds),
      pool_(pool),
      batch_(batch),
      requests_(requests) {}

absl::Status Submission::Prepare() {
  size_t slices = 0;
  for (size_t i = 0; i < requests_.size(); ++i) {
    const Request& request = requests_[i];
    if (!Continues(request)) {
      absl::Status status = BeginRun(request);
      if (!status.ok()) {
        batch_.RejectRequest(i, std::move(status));
        continue;
      }
    }
    const size_t count = Cut(request.length, run_->advice, bounds_).count;
    slices += count;
    batch_.SetRequest(i, *run_, count);
  }
  TE_RETURN_IF_ERROR(pool_.ReserveSlices(batch_, slices));
  AddSlices();
  return absl::OkStatus();
}

absl::Status Submission::BeginRun(const Request& request) {
  if (request.length == 0) {
    return absl::InvalidArgumentError("a request of 0 bytes");
  }
  TE_ASSIGN_OR_RETURN(const size_t peer, PeerIndex(request.segment));
  const BufferDescriptor* remote = nullptr;
  if (HasSameRemote(request)) {
    remote = run_->remote;
  } else {
    TE_ASSIGN_OR_RETURN(
        remote, batch_.route(peer).view->Find(
                    request.operation, request.remote_address, request.length));
  }
  static const BufferRegistry::LocalPin kNoHint;
  TE_ASSIGN_OR_RETURN(BufferRegistry::LocalPin pin,
                      buffers_.PinLocal(request.local, request.length,
                                        run_ == nullptr ? kNoHint : run_->pin));
  run_ = &batch_.BeginRun(std::move(pin), peer, *remote);
  segment_ = request.segment;
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

void Submission::AddSlices() {
  for (size_t index = 0; index < requests_.size(); ++index) {
    const BatchState::Run* const run = batch_.run(index);
    if (run == nullptr) continue;
    const Request& request = requests_[index];
    const Slicing slicing = Cut(request.length, run->advice, bounds_);
    uint64_t offset = 0;
    for (size_t i = 0; i < slicing.count; ++i) {
      Slice& slice = batch_.AddSlice();
      slice.operation = request.operation;
      slice.request = static_cast<uint32_t>(index);
      slice.length = i + 1 < slicing.count ? slicing.size : slicing.last;
      slice.local_slot = run->pin.slot();
      slice.local = static_cast<std::byte*>(request.local) + offset;
      slice.local_location = run->pin.LocationOf(slice.local, slice.length);
      slice.remote_address = request.remote_address + offset;
      slice.remote_generation = run->remote->generation;
      slice.bulk = request.length > kLatencyBytes;
      slice.transport = run->path.transport;
      slice.remote_key = run->path.key;
      offset += slice.length;
    }
  }
}

}  // namespace te
