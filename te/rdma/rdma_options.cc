#include "te/rdma/rdma_options.h"

#include "absl/strings/str_cat.h"
#include "te/base/status_macros.h"

namespace te {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::seconds;

absl::Status Check(absl::string_view name, int64_t value, int64_t low,
                   int64_t high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("rdma option ", name, " is ",
                                                 value, "; it must be from ",
                                                 low, " to ", high));
}

absl::Status Check(absl::string_view name, Duration value, Duration low,
                   Duration high) {
  return Check(absl::StrCat(name, " (ns)"), value.count(), low.count(),
               high.count());
}

absl::Status CheckMtu(int mtu) {
  for (const int allowed : {256, 512, 1024, 2048, 4096}) {
    if (mtu == allowed) return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "rdma option mtu is ", mtu, "; it must be 256, 512, 1024, 2048 or 4096"));
}

}  // namespace

absl::Status RdmaOptions::Validate() const {
  if (port) TE_RETURN_IF_ERROR(Check("port", *port, 1, 255));
  if (gid_index) TE_RETURN_IF_ERROR(Check("gid_index", *gid_index, 0, 255));
  if (mtu) TE_RETURN_IF_ERROR(CheckMtu(*mtu));
  TE_RETURN_IF_ERROR(Check("num_qp", num_qp, 1, 64));
  TE_RETURN_IF_ERROR(Check("max_wr", max_wr, 16, 16384));
  TE_RETURN_IF_ERROR(Check("max_sge", max_sge, 1, 16));
  TE_RETURN_IF_ERROR(Check("max_inline", max_inline, 0, 1024));
  TE_RETURN_IF_ERROR(Check("window_bytes", static_cast<int64_t>(window_bytes),
                           64 << 10, int64_t{4} << 30));
  TE_RETURN_IF_ERROR(Check("max_endpoints", max_endpoints, 1, 65536));
  TE_RETURN_IF_ERROR(Check("max_read_depth", max_read_depth, 1, 255));
  TE_RETURN_IF_ERROR(Check("service_level", service_level, 0, 15));
  TE_RETURN_IF_ERROR(Check("traffic_class", traffic_class, 0, 255));
  TE_RETURN_IF_ERROR(Check("pkey_index", pkey_index, 0, 65535));
  TE_RETURN_IF_ERROR(Check("ack_timeout", ack_timeout, 1, 31));
  TE_RETURN_IF_ERROR(Check("retry_count", retry_count, 0, 7));
  TE_RETURN_IF_ERROR(
      Check("work_timeout", work_timeout, milliseconds(100), hours(1)));
  TE_RETURN_IF_ERROR(
      Check("flush_timeout", flush_timeout, milliseconds(1), hours(1)));
  TE_RETURN_IF_ERROR(
      Check("handshake_timeout", handshake_timeout, milliseconds(1), hours(1)));
  TE_RETURN_IF_ERROR(
      Check("keepalive", keepalive, milliseconds(100), hours(1)));
  TE_RETURN_IF_ERROR(
      Check("idle_timeout", idle_timeout, seconds(1), hours(24 * 7)));
  return Check("spin", spin, Duration::zero(), seconds(1));
}

}  // namespace te
