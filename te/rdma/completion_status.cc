#include "te/rdma/completion_status.h"

#include <algorithm>
#include <array>
#include <iterator>

#include "absl/strings/str_cat.h"

namespace te::rdma {
namespace {

struct Meaning {
  ibv_wc_status status;
  absl::string_view name;
  absl::StatusCode code;
  absl::string_view text;
};

constexpr Meaning kUnknown = {IBV_WC_GENERAL_ERR, "unknown status",
                              absl::StatusCode::kUnavailable,
                              "the device gave a status that te does not know"};

constexpr Meaning kMeanings[] = {
    {IBV_WC_LOC_LEN_ERR, "LOC_LEN_ERR", absl::StatusCode::kFailedPrecondition,
     "the device found the message too long for the port"},
    {IBV_WC_LOC_QP_OP_ERR, "LOC_QP_OP_ERR", absl::StatusCode::kUnavailable,
     "the device found the queue pair or the work request inconsistent"},
    {IBV_WC_LOC_EEC_OP_ERR, "LOC_EEC_OP_ERR", absl::StatusCode::kUnavailable,
     "the device found its connection context inconsistent"},
    {IBV_WC_LOC_PROT_ERR, "LOC_PROT_ERR", absl::StatusCode::kFailedPrecondition,
     "the local memory is not what was registered: was it unmapped or mapped "
     "anew since?"},
    {IBV_WC_WR_FLUSH_ERR, "WR_FLUSH_ERR", absl::StatusCode::kUnavailable,
     "it was given up because something else on the same connection failed"},
    {IBV_WC_MW_BIND_ERR, "MW_BIND_ERR", absl::StatusCode::kUnavailable,
     "a memory window could not be bound"},
    {IBV_WC_BAD_RESP_ERR, "BAD_RESP_ERR", absl::StatusCode::kUnavailable,
     "the peer's NIC gave an answer that makes no sense"},
    {IBV_WC_LOC_ACCESS_ERR, "LOC_ACCESS_ERR",
     absl::StatusCode::kFailedPrecondition,
     "the local memory may not be written by the NIC"},
    // te sends nothing invalid; Soft-RoCE finds retransmissions so now and
    // then.
    {IBV_WC_REM_INV_REQ_ERR, "REM_INV_REQ_ERR", absl::StatusCode::kUnavailable,
     "the peer's NIC found the request invalid: packets got lost; or the MTUs "
     "of the two ends differ"},
    {IBV_WC_REM_ACCESS_ERR, "REM_ACCESS_ERR", absl::StatusCode::kNotFound,
     "the peer's NIC refused the access: the remote buffer is not registered "
     "(any more), does not reach so far, or does not allow it; refresh the "
     "segment"},
    {IBV_WC_REM_OP_ERR, "REM_OP_ERR", absl::StatusCode::kUnavailable,
     "the peer's NIC could not carry the request out"},
    {IBV_WC_RETRY_EXC_ERR, "RETRY_EXC_ERR", absl::StatusCode::kUnavailable,
     "transport retry counter exceeded: the peer does not acknowledge. It is "
     "gone, its port is down, or packets of this size, traffic class or GID do "
     "not get there; check both ports, the MTU of every hop, and PFC or ECN"},
    {IBV_WC_RNR_RETRY_EXC_ERR, "RNR_RETRY_EXC_ERR",
     absl::StatusCode::kUnavailable,
     "the peer's queue pair has no receive posted, which te never needs: does "
     "te answer there?"},
    {IBV_WC_LOC_RDD_VIOL_ERR, "LOC_RDD_VIOL_ERR",
     absl::StatusCode::kUnavailable, "reliable datagram domains differ"},
    {IBV_WC_REM_INV_RD_REQ_ERR, "REM_INV_RD_REQ_ERR",
     absl::StatusCode::kUnavailable, "the peer's NIC refused the datagram"},
    {IBV_WC_REM_ABORT_ERR, "REM_ABORT_ERR", absl::StatusCode::kUnavailable,
     "the peer has aborted the operation"},
    {IBV_WC_INV_EECN_ERR, "INV_EECN_ERR", absl::StatusCode::kUnavailable,
     "the connection context is invalid"},
    {IBV_WC_INV_EEC_STATE_ERR, "INV_EEC_STATE_ERR",
     absl::StatusCode::kUnavailable,
     "the connection context is in a wrong state"},
    {IBV_WC_FATAL_ERR, "FATAL_ERR", absl::StatusCode::kUnavailable,
     "the device has failed; look into the kernel's log"},
    {IBV_WC_RESP_TIMEOUT_ERR, "RESP_TIMEOUT_ERR",
     absl::StatusCode::kUnavailable, "the peer's NIC did not answer in time"},
    {IBV_WC_GENERAL_ERR, "GENERAL_ERR", absl::StatusCode::kUnavailable,
     "the device reports an error without saying which"},
};

const Meaning& MeaningOf(ibv_wc_status status) {
  const auto* const found =
      std::find_if(std::begin(kMeanings), std::end(kMeanings),
                   [&](const Meaning& m) { return m.status == status; });
  return found == std::end(kMeanings) ? kUnknown : *found;
}

}  // namespace

absl::Status CompletionStatus(ibv_wc_status status, uint32_t vendor_error,
                              absl::string_view what, absl::string_view path) {
  if (status == IBV_WC_SUCCESS) return absl::OkStatus();
  const Meaning& meaning = MeaningOf(status);
  return absl::Status(
      meaning.code,
      absl::StrCat(what, " over ", path, ": ", meaning.text, " (", meaning.name,
                   ", status ", static_cast<int>(status), ", vendor error 0x",
                   absl::Hex(vendor_error), ")"));
}

}  // namespace te::rdma
