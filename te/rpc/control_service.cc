#include "te/rpc/control_service.h"

#include <stdint.h>

#include <algorithm>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/status.h"
#include "te/base/clock.h"
#include "te/base/incarnation.h"
#include "te/base/stale_peer.h"
#include "te/base/status_macros.h"
#include "te/grpc/deadline.h"
#include "te/grpc/status_conversion.h"
#include "te/metadata/metadata_store.h"
#include "te/metadata/segment_descriptor.h"
#include "te/metadata/segment_parts.h"
#include "te/metadata/value_part.h"
#include "te/rpc/control.pb.h"
#include "te/rpc/control_handler.h"

namespace te {
namespace {

absl::StatusOr<Incarnation> ParseIncarnation(absl::string_view field,
                                             const std::string& bytes) {
  absl::StatusOr<Incarnation> incarnation =
      Incarnation::FromBytes(absl::MakeSpan(
          reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()));
  if (!incarnation.ok() || incarnation->IsZero()) {
    return absl::InvalidArgumentError(
        absl::StrCat("control request: ", field, " is zero or does not have ",
                     Incarnation::kBytes, " bytes"));
  }
  return incarnation;
}

absl::Status CheckTarget(const std::string& bytes, const Incarnation& own) {
  TE_ASSIGN_OR_RETURN(Incarnation target,
                      ParseIncarnation("target_incarnation", bytes));
  if (target == own) return absl::OkStatus();
  return StalePeerError(absl::StrCat("this is incarnation ", own.ToString(),
                                     ", the request is for ", target.ToString(),
                                     "; open the segment again"));
}

absl::StatusOr<ControlHandshake> FromProto(
    const control::v1::HandshakeRequest& request, const Incarnation& own) {
  TE_RETURN_IF_ERROR(CheckTarget(request.target_incarnation(), own));
  ControlHandshake handshake;
  TE_ASSIGN_OR_RETURN(
      handshake.client,
      ParseIncarnation("client_incarnation", request.client_incarnation()));
  const std::string& transport = request.transport();
  if (transport.empty() ||
      transport.size() > SegmentDescriptor::kMaxTransportNameBytes ||
      !std::all_of(transport.begin(), transport.end(), absl::ascii_isprint)) {
    return absl::InvalidArgumentError(absl::StrCat(
        "control request: the transport's name has ", transport.size(),
        " bytes; use 1 to ", SegmentDescriptor::kMaxTransportNameBytes,
        " printable ASCII characters"));
  }
  handshake.transport = transport;
  handshake.payload = request.payload();
  return handshake;
}

absl::StatusOr<ControlNotification> FromProto(
    const control::v1::NotifyRequest& request, const Incarnation& own) {
  TE_RETURN_IF_ERROR(CheckTarget(request.target_incarnation(), own));
  ControlNotification notification;
  TE_ASSIGN_OR_RETURN(
      notification.sender,
      ParseIncarnation("sender_incarnation", request.sender_incarnation()));
  TE_RETURN_IF_ERROR(ValidateSegmentName(request.sender_name()));
  notification.sender_name = request.sender_name();
  notification.sequence = request.sequence();
  notification.name = request.name();
  notification.message = request.message();
  return notification;
}

}  // namespace

MonotonicTime ControlService::DeadlineOf(
    const grpc::ServerContext& context) const {
  return std::min(FromGrpcDeadline(context.raw_deadline()),
                  DeadlineAfter(RealClock().Now(), max_call_time_));
}

grpc::Status ControlService::GetSegment(
    grpc::ServerContext* context, const control::v1::GetSegmentRequest* request,
    control::v1::GetSegmentResponse* response) {
  auto answer = [&]() -> absl::StatusOr<StoredValue> {
    TE_ASSIGN_OR_RETURN(const VersionedSegment segment,
                        handler_.GetSegment(DeadlineOf(*context)));
    return GetFromSegment(segment, {.since = request->since(),
                                    .first_part = request->first_part()});
  }();
  if (!answer.ok()) return ToGrpcStatus(answer.status());
  response->set_version(answer->version);
  response->set_whole(answer->whole);
  response->set_next_part(answer->next_part);
  for (ValuePart& part : answer->parts) {
    auto& added = *response->add_parts();
    added.set_number(part.number);
    added.set_bytes(std::move(part.bytes));
  }
  return grpc::Status::OK;
}

grpc::Status ControlService::Handshake(
    grpc::ServerContext* context, const control::v1::HandshakeRequest* request,
    control::v1::HandshakeResponse* response) {
  auto answer = [&]() -> absl::StatusOr<std::string> {
    TE_ASSIGN_OR_RETURN(ControlHandshake handshake,
                        FromProto(*request, incarnation_));
    return handler_.Handshake(handshake, DeadlineOf(*context));
  }();
  if (!answer.ok()) return ToGrpcStatus(answer.status());
  response->set_payload(*std::move(answer));
  return grpc::Status::OK;
}

grpc::Status ControlService::Notify(grpc::ServerContext* context,
                                    const control::v1::NotifyRequest* request,
                                    control::v1::NotifyResponse*) {
  absl::StatusOr<ControlNotification> notification =
      FromProto(*request, incarnation_);
  if (!notification.ok()) return ToGrpcStatus(notification.status());
  return ToGrpcStatus(handler_.Notify(*notification, DeadlineOf(*context)));
}

}  // namespace te
