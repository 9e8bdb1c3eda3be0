// Any bytes may come as a peer's handshake, and any bytes as the answer to one.

#include <stddef.h>
#include <stdint.h>

#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "glog/logging.h"
#include "te/base/clock.h"
#include "te/base/incarnation.h"
#include "te/transport/peer_channel.h"
#include "te/transport/shm/handshake.pb.h"
#include "te/transport/shm/shm_transport.h"
#include "te/transport/transport.h"

namespace {

class Parrot final : public te::PeerChannel {
 public:
  explicit Parrot(std::string answer) : answer_(std::move(answer)) {}
  absl::StatusOr<std::string> Exchange(
      absl::string_view /*transport*/, absl::string_view /*request*/,
      te::MonotonicTime /*deadline*/) override {
    return answer_;
  }

 private:
  const std::string answer_;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const std::unique_ptr<te::Transport> transport =
      *te::CreateShmTransport({}, te::Incarnation({1}),
                              {.boot_id = "boot", .max_buffers = 4});
  const std::string bytes(reinterpret_cast<const char*>(data), size);

  const absl::StatusOr<std::string> answer =
      transport->Accept(te::Incarnation({2}), bytes, te::kNoDeadline);
  if (answer.ok()) {
    te::shm::HandshakeResponse response;
    CHECK(response.ParseFromString(*answer));
    CHECK_EQ(response.boot_id(), "boot");
    CHECK(!response.socket().empty());
    CHECK_EQ(response.token().size(), te::Incarnation::kBytes);
  } else {
    CHECK(absl::IsInvalidArgument(answer.status()) ||
          absl::IsFailedPrecondition(answer.status()) ||
          absl::IsNotFound(answer.status()))
        << answer.status();
  }

  // Nobody listens on a name that is made up.
  const auto rail = transport->Connect(
      {.name = "peer", .incarnation = te::Incarnation({3})}, /*rail_id=*/1,
      std::make_shared<Parrot>(bytes), te::MonotonicTime());
  CHECK(!rail.ok());
  CHECK(absl::IsDataLoss(rail.status()) || absl::IsNotFound(rail.status()) ||
        absl::IsUnavailable(rail.status()))
      << rail.status();
  return 0;
}
