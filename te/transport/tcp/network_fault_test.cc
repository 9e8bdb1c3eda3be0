// What the network may do to a connection: change bytes, or vanish.
#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/incarnation.h"
#include "te/base/socket_address.h"
#include "te/base/status_macros.h"
#include "te/base/status_matchers.h"
#include "te/transport/peer_channel.h"
#include "te/transport/recording_sink.h"
#include "te/transport/slice.h"
#include "te/transport/tcp/handshake.pb.h"
#include "te/transport/tcp/relay.h"
#include "te/transport/tcp/tcp_options.h"
#include "te/transport/tcp/tcp_transport.h"
#include "te/transport/test_memory.h"
#include "te/transport/transport.h"

namespace te::tcp {
namespace {

using std::chrono::seconds;
using testing::AllOf;
using testing::HasSubstr;

constexpr size_t kBytes = 1 << 20;

MonotonicTime Soon() { return DeadlineAfter(RealClock().Now(), seconds(60)); }

// A control plane that tells the client to connect to a relay.
class RelayedChannel final : public PeerChannel {
 public:
  RelayedChannel(const Incarnation& client, Transport& server)
      : client_(client), server_(server) {}

  absl::StatusOr<std::string> Exchange(absl::string_view /*transport*/,
                                       absl::string_view request,
                                       MonotonicTime deadline) override {
    TE_ASSIGN_OR_RETURN(const std::string answer,
                        server_.Accept(client_, request, deadline));
    HandshakeResponse response;
    if (!response.ParseFromString(answer)) {
      return absl::InternalError("not the handshake of tcp");
    }
    TE_ASSIGN_OR_RETURN(
        const SocketAddress target,
        SocketAddress::FromIp(response.ip(),
                              static_cast<uint16_t>(response.port())));
    TE_ASSIGN_OR_RETURN(relay_, Relay::Start(target));
    response.set_port(relay_->address().port());
    return response.SerializeAsString();
  }
  Relay& relay() { return *relay_; }

 private:
  const Incarnation client_;
  Transport& server_;
  std::unique_ptr<Relay> relay_;
};

class NetworkFaultTest : public testing::Test {
 protected:
  void Start(const TcpOptions& options) {
    const Incarnation client_id({1});
    const Incarnation server_id({2});
    TE_ASSERT_OK_AND_ASSIGN(
        client_, CreateTcpTransport(options, client_id, client_memory_));
    TE_ASSERT_OK_AND_ASSIGN(
        server_, CreateTcpTransport(options, server_id, server_memory_));
    channel_ = std::make_shared<RelayedChannel>(client_id, *server_);
    generation_ =
        server_memory_.Add(absl::MakeSpan(remote_), TestMemory::Rights::kBoth);
    TE_ASSERT_OK_AND_ASSIGN(
        const Rails rails,
        client_->Connect({.name = "server", .incarnation = server_id},
                         /*rail_id=*/1, channel_, Soon()));
    rail_ = rails.front();
  }
  void TearDown() override { Stop(); }
  void Stop() {
    if (rail_ == nullptr) return;
    rail_->Close(absl::CancelledError("the test is over"));
    rail_.reset();
    client_.reset();
    channel_.reset();
    server_.reset();
  }

  // False where that is forbidden.
  bool Unplug() {
    const absl::Status status = channel_->relay().Unplug();
    if (absl::IsPermissionDenied(status)) return false;
    TE_EXPECT_OK(status);
    return true;
  }

  Slice MakeSlice(Operation operation, RecordingSink& sink) {
    Slice slice;
    slice.operation = operation;
    slice.local = local_.data();
    slice.remote_address = reinterpret_cast<uint64_t>(remote_.data());
    slice.length = kBytes;
    slice.remote_generation = generation_;
    slice.sink = &sink;
    return slice;
  }
  absl::Status Transfer(Operation operation) {
    RecordingSink sink(1);
    Slice slice = MakeSlice(operation, sink);
    Slice* const posted = &slice;
    rail_->Post({&posted, 1});
    EXPECT_TRUE(sink.Wait(Soon()));
    EXPECT_TRUE(server_memory_.AwaitPins(0, Soon()));
    return sink.status();
  }

  std::vector<std::byte> local_ = std::vector<std::byte>(kBytes, Relay::kMark);
  std::vector<std::byte> remote_ = std::vector<std::byte>(kBytes, Relay::kMark);
  TestMemory client_memory_;
  TestMemory server_memory_;
  uint64_t generation_ = 0;
  std::unique_ptr<Transport> client_;
  std::unique_ptr<Transport> server_;
  std::shared_ptr<RelayedChannel> channel_;
  std::shared_ptr<Rail> rail_;
};

TEST_F(NetworkFaultTest, AChangedByteIsFoundWhereItArrives) {
  Start({.checksum = true});
  for (const auto operation : {Operation::kWrite, Operation::kRead}) {
    const absl::string_view name =
        operation == Operation::kWrite ? "WRITE of 1048576" : "READ of 1048576";
    TE_EXPECT_OK(Transfer(operation));
    channel_->relay().CorruptNext();
    EXPECT_THAT(
        Transfer(operation),
        StatusIs(absl::StatusCode::kDataLoss,
                 AllOf(HasSubstr(std::string(name)), HasSubstr("checksum"),
                       HasSubstr("tcp to server"))));
    // Of that transfer alone.
    TE_EXPECT_OK(rail_->health());
    TE_EXPECT_OK(Transfer(operation));
    EXPECT_EQ(local_, remote_);
  }
}

TEST_F(NetworkFaultTest, ACutCableEndsWhatIsUnderWay) {
  for (const auto operation : {Operation::kWrite, Operation::kRead}) {
    Start({.peer_timeout = seconds(1)});
    TE_EXPECT_OK(Transfer(operation));
    if (!Unplug()) GTEST_SKIP() << "the kernel forbids to filter packets";
    RecordingSink sink(1);
    Slice slice = MakeSlice(operation, sink);
    Slice* const posted = &slice;
    rail_->Post({&posted, 1});
    ASSERT_TRUE(sink.Wait(Soon()));
    EXPECT_THAT(sink.status(), StatusIs(absl::StatusCode::kUnavailable,
                                        HasSubstr("tcp to server")));
    Stop();
  }
}

TEST_F(NetworkFaultTest, ACutCableIsNoticedAtRest) {
  Start({.peer_timeout = seconds(1)});
  TE_EXPECT_OK(Transfer(Operation::kWrite));
  if (!Unplug()) GTEST_SKIP() << "the kernel forbids to filter packets";
  const MonotonicTime deadline = Soon();
  while (rail_->health().ok() && RealClock().Now() < deadline) {
    std::this_thread::yield();
  }
  EXPECT_THAT(rail_->health(), StatusIs(absl::StatusCode::kUnavailable));
}

}  // namespace
}  // namespace te::tcp
