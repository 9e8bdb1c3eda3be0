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
constexpr size_t kMaxRequestsPerBatch = 1 << 20;

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
      page_size_hint_(parts_.placement.smaps),
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
  TE_ASSIGN_OR_RETURN(timers_, TaskQueue::Create("te-rails", 1));
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
  timers_.reset();
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

absl::StatusOr<SegmentId> TransferEngine::OpenSegment(absl::string_view name,
                                                      Duration timeout) {
  TE_RETURN_IF_ERROR(ValidateSegmentName(name));
  TE_ASSIGN_OR_RETURN(
      const SegmentTable::Entry entry,
      segments_.Acquire(name, {.options = options_,
                               .directory = directory_,
                               .transports = transports_,
                               .make_link = make_link_,
                               .tasks = *tasks_,
                               .lookups = *lookups_,
                               .timers = *timers_,
                               .short_traffic = short_traffic_}));
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
  const SliceBounds bounds = {
      .least = std::min(options_.min_slice_bytes, options_.slice_bytes),
      .most = options_.slice_bytes};
  absl::Status status =
      Submission(buffers_, segments_, bounds, *batches_, *state, requests)
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
    segment.downgrades = peer->downgrades();
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
