// What //te/metadata:metadata_server offers beside the store.
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "grpcpp/channel.h"
#include "grpcpp/client_context.h"
#include "grpcpp/completion_queue.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/generic/generic_stub.h"
#include "grpcpp/security/credentials.h"
#include "grpcpp/support/byte_buffer.h"
#include "grpcpp/support/slice.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/status_matchers.h"
#include "te/grpc/deadline.h"
#include "te/grpc/health_check.h"
#include "te/metadata/metadata_store.h"
#include "te/metadata/open_metadata_store.h"
#include "te/metadata/watch_events.h"
#include "te/testing/store_process.h"

namespace te {
namespace {

using testing::HasSubstr;

MonotonicTime Soon() { return RealClock().Now() + std::chrono::seconds(60); }

// Sends one message over a stream of both directions and returns the answer.
std::string Ask(const std::string& address, const std::string& method,
                const std::string& message) {
  grpc::GenericStub stub(
      grpc::CreateChannel(address, grpc::InsecureChannelCredentials()));
  grpc::CompletionQueue queue;
  const auto done = [&queue] {
    void* tag = nullptr;
    bool ok = false;
    return queue.Next(&tag, &ok) && ok;
  };
  grpc::ClientContext context;
  context.set_deadline(ToGrpcDeadline(Soon()));
  const auto call = stub.PrepareCall(&context, method, &queue);
  call->StartCall(nullptr);
  EXPECT_TRUE(done());
  const grpc::Slice slice(message);
  call->WriteLast(grpc::ByteBuffer(&slice, 1), {}, nullptr);
  EXPECT_TRUE(done());
  grpc::ByteBuffer answer;
  call->Read(&answer, nullptr);
  EXPECT_TRUE(done());
  grpc::Status status;
  call->Finish(&status, nullptr);
  EXPECT_TRUE(done());
  std::vector<grpc::Slice> slices;
  EXPECT_TRUE(answer.Dump(&slices).ok());
  std::string text;
  for (const grpc::Slice& one : slices) text.append(one.begin(), one.end());
  return text;
}

TEST(MetadataServerTest, IsHealthy) {
  const auto server = StartMetadataServerProcess();
  EXPECT_THAT(CheckHealth(server->address().ToString(), Soon()),
              IsOkAndHolds(true));
}

TEST(MetadataServerTest, TellsOfItsServices) {
  const auto server = StartMetadataServerProcess();
  // ServerReflectionRequest with an empty list_services, its field 7.
  EXPECT_THAT(
      Ask(server->address().ToString(),
          "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
          std::string("\x3a\0", 2)),
      HasSubstr("te.metadata.v1.Metadata"));
}

class MetadataServerWatchTest : public testing::Test {
 protected:
  MetadataServerWatchTest()
      : server_(StartMetadataServerProcess()),
        store_(
            OpenMetadataStore(
                absl::StrCat("grpc://", server_->address().ToString()), Soon())
                .value()),
        watch_(store_->Watch({.key = "k"}, events_.callback()).value()) {}

  const std::unique_ptr<MetadataServerProcess> server_;
  const std::unique_ptr<MetadataStore> store_;
  WatchEvents events_;
  const std::unique_ptr<StoreWatch> watch_;
};

// In less time than --drain allows for.
TEST_F(MetadataServerWatchTest, WatchesDoNotHoldUpItsEnd) {
  ASSERT_TRUE(events_.AwaitBegun());
  const MonotonicTime before = RealClock().Now();
  EXPECT_EQ(server_->Terminate(), 0);
  EXPECT_LT(RealClock().Now() - before, std::chrono::seconds(8));
  EXPECT_THAT(events_.AwaitBroken(), StatusIs(absl::StatusCode::kUnavailable));
}

TEST_F(MetadataServerWatchTest, WatchesSurviveItsDeath) {
  ASSERT_TRUE(events_.AwaitBegun());
  server_->Kill();
  EXPECT_THAT(events_.AwaitBroken(), StatusIs(absl::StatusCode::kUnavailable));
  server_->Restart();
  ASSERT_TRUE(events_.AwaitBegun());
  TE_ASSERT_OK_AND_ASSIGN(const uint64_t version,
                          store_->Put("k", {{0, "v"}}, {}, Soon()));
  EXPECT_TRUE(events_.AwaitChange("k", version));
}

// Its kernel goes on to take what is sent.
TEST_F(MetadataServerWatchTest, AServerThatIsStoppedIsMissed) {
  ASSERT_TRUE(events_.AwaitBegun());
  server_->Stop();
  EXPECT_THAT(events_.AwaitBroken(), StatusIs(absl::StatusCode::kUnavailable));
  server_->Continue();
  EXPECT_TRUE(events_.AwaitBegun());
}

}  // namespace
}  // namespace te
