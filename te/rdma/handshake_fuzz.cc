// A peer may send anything: what is taken is in bounds, and means the same when
// it is sent on.

#include <stddef.h>
#include <stdint.h>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "glog/logging.h"
#include "te/rdma/handshake.h"

namespace te::rdma {
namespace {

void CheckOffer(const EndpointOffer& offer) {
  CHECK(!offer.device.empty());
  CHECK(!offer.queue_pairs.empty());
  CHECK_LE(offer.queue_pairs.size(), kMaxQueuePairs);
  CHECK(offer.mtu >= 256 && offer.mtu <= 4096);
  CHECK(offer.read_depth >= 1 && offer.read_depth <= 255);
  CHECK(offer.port.number >= 1 && offer.port.number <= UINT8_MAX);
  CHECK(offer.port.gids.has_value());
  for (const GidEntry& entry : *offer.port.gids) {
    CHECK(entry.index >= 0 && entry.index <= UINT8_MAX);
  }
  for (const QueuePairAddress& pair : offer.queue_pairs) {
    CHECK_LT(pair.number, 1u << 24);
    CHECK_LT(pair.first_psn, 1u << 24);
  }
}

void Run(absl::string_view bytes) {
  const auto request = ParseRequest(bytes);
  if (request.ok()) {
    if (request->offer) CheckOffer(*request->offer);
    CHECK_LT(request->client_nic, kMaxNics);
    CHECK_LT(request->server_nic, kMaxNics);
    const auto again = ParseRequest(Serialize(*request));
    CHECK(again.ok()) << again.status();
    CHECK(*again == *request);
  }
  const auto response = ParseResponse(bytes);
  if (response.ok()) {
    if (response->offer) CheckOffer(*response->offer);
    CHECK(response->nics <= kMaxNics && response->server_nic < response->nics);
    const auto again = ParseResponse(Serialize(*response));
    CHECK(again.ok()) << again.status();
    CHECK(*again == *response);
  }
}

}  // namespace
}  // namespace te::rdma

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  te::rdma::Run({reinterpret_cast<const char*>(data), size});
  return 0;
}
