#include "te/core/transfer_engine.h"

#include <sched.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <utility>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "glog/logging.h"
#include "te/base/host_port.h"
#include "te/base/status_macros.h"
#include "te/core/submission.h"

namespace te {
namespace {

// What an engine that ends grants the metadata store.
constexpr Duration kFarewell = std::chrono::seconds(2);
// Within which connections that have been cut let go of memory.
constexpr Duration kReleaseTime = std::chrono::seconds(10);
// Of waiting for peers that copy by themselves.
constexpr Duration kReleaseStep = std::chrono::milliseconds(20);
// What peers get to end their use of a buffer that could not be published.
constexpr Duration kUndoTime = std::chrono::seconds(1);
// Within which a batch that was aborted lets go of its local memory.
constexpr Duration kAbortTime = std::chrono::milliseconds(500);
constexpr size_t kMaxRequestsPerBatch = 1 << 20;

// What transports may say of a buffer fits into a descriptor.
static_assert(kMaxKeyBytes <= TransportKeys::kMaxKeyBytes);

MonotonicTime In(Duration timeout) {
  return DeadlineAfter(RealClock().Now(), timeout);
}

absl::Status NotServing() {
  return absl::UnavailableError("the engine is starting or stopping");
}

bool IsTooLong(const Notification& notification) {
  return notification.name.size() + notification.message.size() >
         kMaxNotificationBytes;
}

absl::Status NotificationTooLong() {
  return absl::InvalidArgumentError(
      absl::StrCat("a notification has at most ", kMaxNotificationBytes,
                   " bytes; transfer what is longer"));
}

absl::Status Closing() {
  return absl::CancelledError("the engine is being destroyed");
}

}  // namespace

absl::StatusOr<std::unique_ptr<TransferEngine>> TransferEngine::Create(
    const EngineOptions& options, EngineParts parts) {
  TE_RETURN_IF_ERROR(options.Validate());
  if (parts.transports.empty()) {
    return absl::InvalidArgumentError("an engine needs at least one transport");
  }
  TE_ASSIGN_OR_RETURN(const Incarnation incarnation, Incarnation::Random());
  std::unique_ptr<TransferEngine> engine(
      new TransferEngine(options, incarnation, std::move(parts)));
  TE_RETURN_IF_ERROR(engine->Start());
  return engine;
}

TransferEngine::TransferEngine(const EngineOptions& options,
                               const Incarnation& incarnation,
                               EngineParts parts)
    : options_(options),
      incarnation_(incarnation),
      started_at_(static_cast<uint64_t>(std::time(nullptr))),
      parts_(std::move(parts)),
      directory_(
          *parts_.resolver,
          {.in_use =
               [this](const std::string& name) {
                 return segments_.Find(name) != nullptr;
               },
           .on_change =
               [this](const std::string& name) { OnSegmentChange(name); }}),
      make_link_(ControlLinksOf(incarnation, segment_name_)),
      buffers_(options.max_buffers, parts_.placement),
      inbox_(options.max_notifications),
      batches_(std::make_shared<BatchPool>(
          options.max_batches, options.max_slices,
          [this](BatchState& batch) { outbox_->Send(batch); })),
      segments_(options.max_segments) {}

absl::Status TransferEngine::Start() {
  for (const auto& make : parts_.transports) {
    TE_ASSIGN_OR_RETURN(std::unique_ptr<Transport> transport,
                        make(incarnation_, buffers_));
    if (transport != nullptr) transports_.push_back(std::move(transport));
  }
  if (transports_.empty()) {
    return absl::UnavailableError("no transport can be used here");
  }
  TE_ASSIGN_OR_RETURN(
      tasks_, TaskQueue::Create("te-connect", options_.control_threads));
  TE_ASSIGN_OR_RETURN(lookups_,
                      TaskQueue::Create("te-lookup", options_.control_threads));
  TE_ASSIGN_OR_RETURN(outbox_,
                      NotificationOutbox::Create(options_.control_threads,
                                                 options_.connect_timeout));
  TE_ASSIGN_OR_RETURN(deadlines_, DeadlineKeeper::Create(*batches_));
  TE_RETURN_IF_ERROR(StartControlServer());
  publisher_ = std::make_unique<SegmentPublisher>(
      *parts_.resolver, segment_name_, incarnation_,
      [this] { return DescribeSelf().descriptor; }, options_.connect_timeout);
  TE_RETURN_IF_ERROR(publisher_->Publish());
  TE_RETURN_IF_ERROR(publisher_->KeepAlive());
  serving_ = true;
  server_->SetServing(true);
  return absl::OkStatus();
}

absl::Status TransferEngine::StartControlServer() {
  TE_ASSIGN_OR_RETURN(
      server_,
      ControlServer::Create(
          {.incarnation = incarnation_, .server = parts_.control}, *this));
  control_address_ =
      JoinHostPort(parts_.advertised_host, server_->bound_address().port());
  segment_name_ =
      parts_.segment_name.empty() ? control_address_ : parts_.segment_name;
  return ValidateSegmentName(segment_name_);
}

TransferEngine::~TransferEngine() {
  if (server_ != nullptr) server_->SetServing(false);
  serving_ = false;
  closing_ = true;
  if (server_ != nullptr) server_->Shutdown(In(kFarewell));
  directory_.EndWatches();
  for (const std::shared_ptr<Peer>& peer : segments_.All()) {
    peer->Close(Closing());
  }
  if (outbox_ != nullptr) outbox_->Close();
  DrainBatches();
  deadlines_.reset();
  tasks_.reset();
  lookups_.reset();
  if (publisher_ != nullptr) publisher_->Withdraw(In(kFarewell));
  buffers_.DisposeOfAll([this](uint32_t slot) {
    UnregisterFromTransports(slot, transports_.size());
  });
}

// All slices are back and no notification is under way; what remains is short.
void TransferEngine::DrainBatches() {
  bool unfinished = true;
  while (std::exchange(unfinished, false)) {
    batches_->ForEach(
        [&](BatchState& batch) { unfinished |= !batch.finished(); });
    if (unfinished) sched_yield();
  }
}

VersionedSegment TransferEngine::DescribeSelf() {
  VersionedSegment segment;
  SegmentDescriptor& descriptor = segment.descriptor;
  descriptor.name = segment_name_;
  descriptor.incarnation = incarnation_;
  descriptor.version = publisher_->version();
  descriptor.started_at = started_at_;
  descriptor.host = parts_.host;
  descriptor.control_addresses = {control_address_};
  descriptor.topology = parts_.topology;
  for (const auto& transport : transports_) {
    descriptor.transports[std::string(transport->name())] = "";
  }
  BufferRegistry::Description buffers = buffers_.Describe();
  descriptor.buffers = std::move(buffers.table);
  segment.version = buffers.version;
  segment.page_versions = std::move(buffers.page_versions);
  segment.first_version = buffers_.first_version();
  return segment;
}

// On a thread of the metadata store's.
void TransferEngine::OnSegmentChange(const std::string& name) {
  if (const auto peer = segments_.Find(name); peer != nullptr) {
    peer->RefreshSoon();
  }
}

absl::StatusOr<BufferId> TransferEngine::RegisterMemory(
    const MemoryRegion& region) {
  TE_ASSIGN_OR_RETURN(const std::vector<BufferId> ids,
                      RegisterMemory(absl::MakeConstSpan(&region, 1)));
  return ids.front();
}

absl::StatusOr<std::vector<BufferId>> TransferEngine::RegisterMemory(
    absl::Span<const MemoryRegion> regions) {
  std::vector<BufferId> ids;
  bool exposed = false;
  for (const MemoryRegion& region : regions) {
    if (region.location.kind() == MemoryLocation::Kind::kCuda) {
      return UndoRegistration(
          ids, absl::UnimplementedError(absl::StrCat(
                   "memory of ", region.location.ToString(),
                   " cannot be registered: no transport of this engine can "
                   "move it")));
    }
    const absl::StatusOr<BufferId> id =
        buffers_.Register(region, [this](const LocalMemory& memory) {
          return RegisterWithTransports(memory);
        });
    if (!id.ok()) return UndoRegistration(ids, id.status());
    ids.push_back(*id);
    exposed |= region.access != Access::kLocalOnly;
  }
  // Nobody needs to hear of the others.
  const absl::Status published =
      exposed ? publisher_->Publish() : absl::OkStatus();
  if (!published.ok()) return UndoRegistration(ids, published);
  return ids;
}

// With all of them or none.
absl::StatusOr<TransportKeys> TransferEngine::RegisterWithTransports(
    const LocalMemory& memory) {
  TransportKeys keys;
  for (size_t i = 0; i < transports_.size(); ++i) {
    const absl::string_view name = transports_[i]->name();
    const absl::StatusOr<std::string> key =
        transports_[i]->RegisterMemory(memory);
    absl::Status status = key.status();
    if (key.ok() && !key->empty()) status = keys.Add(name, *key);
    if (status.ok()) continue;
    UnregisterFromTransports(memory.slot, key.ok() ? i + 1 : i);
    return absl::Status(status.code(),
                        absl::StrCat("cannot register memory with transport ",
                                     name, ": ", status.message()));
  }
  return keys;
}

// From the first `count` of them, the last one first.
void TransferEngine::UnregisterFromTransports(uint32_t slot, size_t count) {
  for (size_t i = count; i > 0; --i) transports_[i - 1]->UnregisterMemory(slot);
}

// Peers may have seen the buffers, and use them already.
absl::Status TransferEngine::UndoRegistration(absl::Span<const BufferId> ids,
                                              const absl::Status& why) {
  for (const BufferId id : ids) {
    const absl::Status released = Release(id, kUndoTime);
    if (!released.ok()) {
      return absl::Status(
          why.code(),
          absl::StrCat(why.message(),
                       "; besides, the memory is still in use, and must not be "
                       "freed before the engine: ",
                       released.message()));
    }
  }
  return why;
}

absl::Status TransferEngine::UnregisterMemory(BufferId id, Duration timeout) {
  TE_RETURN_IF_ERROR(Release(id, timeout));
  // Peers that do not hear of it are refused by the buffer's generation.
  if (const absl::Status published = publisher_->Publish(); !published.ok()) {
    LOG(WARNING) << "the metadata store still shows a buffer that is gone: "
                 << published;
  }
  return absl::OkStatus();
}

// Takes the buffer back from everybody; who is not done in time is cut off.
absl::Status TransferEngine::Release(BufferId id, Duration timeout) {
  absl::Status status = ReleaseBy(In(timeout), id);
  if (absl::IsDeadlineExceeded(status)) {
    AbortUsers(id);
    status = ReleaseBy(In(kAbortTime), id);
  }
  if (absl::IsDeadlineExceeded(status)) {
    // Then it is peers that hold it.
    for (const auto& transport : transports_) transport->DisconnectPeers();
    status = ReleaseBy(In(kReleaseTime), id);
  }
  return status;
}

// In steps, because others who ask for the same have deadlines of their own.
absl::Status TransferEngine::ReleaseBy(MonotonicTime deadline, BufferId id) {
  for (;;) {
    const MonotonicTime step = std::min(deadline, In(kReleaseStep));
    const absl::Status status = buffers_.Unregister(
        id, deadline,
        [&](uint32_t slot) { return ReleaseFromTransports(slot, step); });
    if (!absl::IsDeadlineExceeded(status) || RealClock().Now() >= deadline) {
      return status;
    }
  }
}

absl::Status TransferEngine::ReleaseFromTransports(uint32_t slot,
                                                   MonotonicTime deadline) {
  absl::Status result;
  // From all of them, although one may have to wait.
  for (const auto& transport : transports_) {
    result.Update(transport->RevokeAccess(slot, deadline));
  }
  if (result.ok()) UnregisterFromTransports(slot, transports_.size());
  return result;
}

void TransferEngine::AbortUsers(BufferId id) {
  batches_->ForEach([&](BatchState& batch) {
    if (batch.finished() || !batch.Uses(id)) return;
    batch.Abort(
        absl::CancelledError("a local buffer of the batch was unregistered"));
  });
  deadlines_->Notice(RealClock().Now());
}

absl::StatusOr<SegmentId> TransferEngine::OpenSegment(absl::string_view name,
                                                      Duration timeout) {
  TE_RETURN_IF_ERROR(ValidateSegmentName(name));
  TE_ASSIGN_OR_RETURN(const SegmentTable::Entry entry,
                      segments_.Acquire(name, {.options = options_,
                                               .directory = directory_,
                                               .transports = transports_,
                                               .make_link = make_link_,
                                               .tasks = *tasks_,
                                               .lookups = *lookups_}));
  if (const absl::Status status = entry.peer->Open(In(timeout)); !status.ok()) {
    CloseSegment(entry.id).IgnoreError();
    return status;
  }
  return entry.id;
}

absl::Status TransferEngine::CloseSegment(SegmentId id) {
  TE_ASSIGN_OR_RETURN(const std::shared_ptr<Peer> last, segments_.Release(id));
  if (last != nullptr) {
    last->Close(absl::CancelledError("the segment was closed"));
  }
  return absl::OkStatus();
}

absl::Status TransferEngine::RefreshSegment(SegmentId id, Duration timeout) {
  TE_ASSIGN_OR_RETURN(const std::shared_ptr<Peer> peer, segments_.Find(id));
  return peer->Refresh(In(timeout));
}

absl::StatusOr<std::shared_ptr<const SegmentDescriptor>>
TransferEngine::DescribeSegment(SegmentId id) const {
  TE_ASSIGN_OR_RETURN(const std::shared_ptr<Peer> peer, segments_.Find(id));
  TE_ASSIGN_OR_RETURN(const std::shared_ptr<const Route> route, peer->route());
  return route->view->descriptor();
}

absl::StatusOr<Batch> TransferEngine::Submit(absl::Span<const Request> requests,
                                             const SubmitOptions& options) {
  if (closing_) return Closing();
  if (requests.empty() || requests.size() > kMaxRequestsPerBatch) {
    return absl::InvalidArgumentError(
        absl::StrCat("a batch of ", requests.size(),
                     " requests; it must have 1 to ", kMaxRequestsPerBatch));
  }
  if (options.notification && IsTooLong(*options.notification)) {
    return NotificationTooLong();
  }
  const MonotonicTime deadline =
      In(options.timeout.value_or(options_.default_timeout));
  TE_ASSIGN_OR_RETURN(BatchState * state,
                      batches_->Acquire(requests.size(),
                                        options_.max_slice_attempts, deadline));
  state->set_options(options);
  absl::Status status = Submission(buffers_, segments_, options_.slice_bytes,
                                   *batches_, *state, requests)
                            .Prepare();
  if (status.ok() && options.notification && state->peer_count() > 1) {
    status = absl::InvalidArgumentError(
        "a batch with a notification must have one segment only");
  }
  if (!status.ok()) {
    batches_->Return(*state);
    return status;
  }
  state->Launch();
  deadlines_->Notice(deadline);
  return Batch(batches_, *state);
}

std::optional<ReceivedNotification> TransferEngine::TakeNotification(
    MonotonicTime deadline) {
  return inbox_.Take(deadline);
}

absl::StatusOr<VersionedSegment> TransferEngine::GetSegment(
    MonotonicTime /*deadline*/) {
  if (!serving_) return NotServing();
  return DescribeSelf();
}

absl::StatusOr<std::string> TransferEngine::Handshake(
    const ControlHandshake& handshake, MonotonicTime deadline) {
  if (!serving_) return NotServing();
  std::vector<absl::string_view> names;
  for (const auto& transport : transports_) {
    if (transport->name() == handshake.transport) {
      return transport->Accept(handshake.client, handshake.payload, deadline);
    }
    names.push_back(transport->name());
  }
  return absl::UnimplementedError(
      absl::StrCat("segment ", segment_name_, " has no transport ",
                   handshake.transport, ", but ", absl::StrJoin(names, ", ")));
}

absl::Status TransferEngine::Notify(const ControlNotification& notification,
                                    MonotonicTime /*deadline*/) {
  if (!serving_) return NotServing();
  ReceivedNotification received = {
      .sender = notification.sender_name,
      .notification = {.name = notification.name,
                       .message = notification.message}};
  if (IsTooLong(received.notification)) return NotificationTooLong();
  return inbox_.Put(notification.sender, notification.sequence,
                    std::move(received));
}

EngineStatus TransferEngine::Status() const {
  EngineStatus status;
  status.segment_name = segment_name_;
  status.incarnation = incarnation_;
  status.control_address = control_address_;
  for (const auto& transport : transports_) {
    status.transports.emplace_back(transport->name());
  }
  for (const std::shared_ptr<Peer>& peer : segments_.All()) {
    const auto route = peer->route();
    EngineStatus::Segment& segment = status.segments.emplace_back();
    segment.name = peer->name();
    segment.health = peer->health();
    if (!route.ok()) continue;
    segment.rail = (*route)->rail->name();
    segment.passed_over = (*route)->passed_over;
  }
  status.buffers = buffers_.size();
  status.batches_in_use = batches_->batches_in_use();
  status.slices_in_use = batches_->slices_in_use();
  return status;
}

}  // namespace te
