// Any bytes may come as a peer's handshake, and any bytes to the data port.

#include <stddef.h>
#include <stdint.h>

#include <memory>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "glog/logging.h"
#include "te/base/clock.h"
#include "te/base/incarnation.h"
#include "te/transport/tcp/handshake.pb.h"
#include "te/transport/tcp/tcp_transport.h"
#include "te/transport/test_memory.h"
#include "te/transport/transport.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static te::TestMemory memory;
  static const std::unique_ptr<te::Transport> transport =
      *te::CreateTcpTransport({}, te::Incarnation({1}), memory);
  const absl::StatusOr<std::string> answer = transport->Accept(
      te::Incarnation({2}),
      absl::string_view(reinterpret_cast<const char*>(data), size),
      te::kNoDeadline);
  if (!answer.ok()) return 0;
  te::tcp::HandshakeResponse response;
  CHECK(response.ParseFromString(*answer));
  // The answer to a fence.
  if (answer->empty()) return 0;
  CHECK_EQ(response.ip(), "127.0.0.1");
  CHECK_EQ(response.session().size(), te::Incarnation::kBytes);
  transport->DisconnectPeers();
  return 0;
}
