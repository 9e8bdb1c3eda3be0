#include "te/grpc/status_conversion.h"

#include <stddef.h>

#include <algorithm>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "grpcpp/support/status.h"
#include "te/base/stale_peer.h"
#include "te/grpc/error_details.pb.h"

namespace te {
namespace {

constexpr size_t kMaxMessageBytes = 2048;

// Statuses with these codes come of gRPC itself too, where nobody has answered
// or something else than te has.
bool IsAmbiguous(absl::StatusCode code) {
  return code == absl::StatusCode::kUnavailable ||
         code == absl::StatusCode::kUnimplemented;
}

// Whether te has made the status, at the other end. gRPC sends no details.
bool IsOfThePeer(const grpc::Status& status) {
  proto::ErrorDetails details;
  return !status.error_details().empty() &&
         details.ParseFromString(status.error_details()) &&
         details.code() == status.error_code();
}

bool CarriesStalePeerMark(const std::string& details_bytes) {
  proto::ErrorDetails details;
  if (!details.ParseFromString(details_bytes)) return false;
  for (const proto::ErrorDetails::Detail& detail : details.details()) {
    if (detail.type_url() == kStalePeerTypeUrl) return true;
  }
  return false;
}

// A peer's text goes into our logs, where it must not forge lines.
std::string Printable(absl::string_view text) {
  std::string printable(text.substr(0, kMaxMessageBytes));
  std::replace_if(printable.begin(), printable.end(), absl::ascii_iscntrl, '?');
  return printable;
}

// gRPC's "ipv6:%5B::ffff:10.0.0.1%5D:80" and "ipv6:%5B::1%5D:80" as we write
// them: "10.0.0.1:80" and "[::1]:80". The first form comes from the target that
// GrpcChannel makes.
std::string WithOurAddresses(absl::string_view text) {
  const std::string mapped = "[::ffff:";
  std::string out = absl::StrReplaceAll(
      text,
      {{"ipv4:", ""}, {"ipv6:", ""}, {"%5B", "["}, {"%5D", "]"}, {"%25", "%"}});
  for (size_t begin = out.find(mapped); begin != std::string::npos;
       begin = out.find(mapped, begin)) {
    const size_t end = out.find(']', begin);
    if (end == std::string::npos) break;
    out.erase(end, 1);
    out.erase(begin, mapped.size());
  }
  return out;
}

absl::string_view RemedyFor(absl::StatusCode code) {
  switch (code) {
    case absl::StatusCode::kUnavailable:
      return "; check that the process runs, that it listens on this address, "
             "and the network between";
    case absl::StatusCode::kUnimplemented:
      return "; check that it is te that listens there, in a compatible "
             "version";
    default:
      return "";
  }
}

}  // namespace

grpc::Status ToGrpcStatus(const absl::Status& status) {
  if (status.ok()) return grpc::Status::OK;
  // The codes are the same numbers in both.
  const auto code = static_cast<grpc::StatusCode>(status.code());
  const std::string message(status.message().substr(0, kMaxMessageBytes));
  const bool stale = IsStalePeer(status);
  if (!stale && !IsAmbiguous(status.code())) return grpc::Status(code, message);
  proto::ErrorDetails details;
  details.set_code(static_cast<int>(status.code()));
  details.set_message(message);
  if (stale) details.add_details()->set_type_url(kStalePeerTypeUrl);
  return grpc::Status(code, message, details.SerializeAsString());
}

grpc::StatusCode ToGrpcCode(int code) {
  if (code < grpc::StatusCode::OK || code > grpc::StatusCode::UNAUTHENTICATED) {
    return grpc::StatusCode::UNKNOWN;
  }
  return static_cast<grpc::StatusCode>(code);
}

absl::Status FromGrpcStatus(const grpc::Status& status,
                            absl::string_view server) {
  if (status.ok()) return absl::OkStatus();
  auto code = static_cast<absl::StatusCode>(status.error_code());
  if (status.error_code() < grpc::StatusCode::CANCELLED ||
      status.error_code() > grpc::StatusCode::UNAUTHENTICATED) {
    code = absl::StatusCode::kUnknown;
  }
  std::string message = Printable(status.error_message());
  if (IsAmbiguous(code) && !IsOfThePeer(status)) {
    // gRPC speaks of addresses, and the peer does not.
    if (code == absl::StatusCode::kUnavailable) {
      message = WithOurAddresses(message);
    }
    return absl::Status(code,
                        absl::StrCat(server, ": ", message, RemedyFor(code)));
  }
  if (code == absl::StatusCode::kFailedPrecondition &&
      CarriesStalePeerMark(status.error_details())) {
    // StalePeerError writes the prefix anew.
    return StalePeerError(
        absl::StrCat(server, ": ", absl::StripPrefix(message, "stale peer: ")));
  }
  return absl::Status(code, absl::StrCat(server, ": ", message));
}

}  // namespace te
