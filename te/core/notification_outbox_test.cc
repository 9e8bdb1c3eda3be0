// What becomes of notifications when their receivers misbehave.
#include "te/core/notification_outbox.h"

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/incarnation.h"
#include "te/base/mutex.h"
#include "te/base/socket_address.h"
#include "te/base/status_matchers.h"
#include "te/core/batch.h"
#include "te/core/buffer_registry.h"
#include "te/core/engine_fixture.h"
#include "te/core/request.h"
#include "te/core/transfer_engine.h"
#include "te/metadata/segment_descriptor.h"
#include "te/metadata/segment_parts.h"
#include "te/metadata/store_segment_resolver.h"
#include "te/metadata/transport_keys.h"
#include "te/rpc/control_handler.h"
#include "te/rpc/control_server.h"
#include "te/transport/fake_transport.h"
#include "te/transport/local_memory.h"

namespace te {
namespace {

constexpr Duration kForEver = std::chrono::hours(1);

// A peer that takes data, and does not answer notifications until it is told.
class SilentPeer final : private ControlHandler {
 public:
  SilentPeer(const std::string& name, std::shared_ptr<FakeNetwork> network)
      : transport_(std::move(network), incarnation_, memory_) {
    ControlServerOptions options;
    options.server.address = *SocketAddress::FromIp("127.0.0.1", 0);
    options.incarnation = incarnation_;
    server_ = *ControlServer::Create(options, *this);
    descriptor_.name = name;
    descriptor_.incarnation = incarnation_;
    descriptor_.version = 1;
    descriptor_.control_addresses = {server_->bound_address().ToString()};
    TE_EXPECT_OK(memory_.Register(
        {.address = bytes_.data(), .length = bytes_.size()},
        [this](const LocalMemory& memory) -> absl::StatusOr<TransportKeys> {
          TransportKeys keys;
          TE_EXPECT_OK(keys.Add("fake", *transport_.RegisterMemory(memory)));
          return keys;
        }));
    descriptor_.buffers = memory_.Describe().table;
    descriptor_.transports["fake"] = "";
  }
  ~SilentPeer() override {
    Answer();
    memory_.DisposeOfAll(
        [this](uint32_t slot) { transport_.UnregisterMemory(slot); });
  }

  const SegmentDescriptor& descriptor() const { return descriptor_; }
  int calls() const {
    MutexLock lock(mutex_);
    return calls_;
  }
  void Answer() {
    MutexLock lock(mutex_);
    answering_ = true;
    answers_.NotifyAll();
  }

 private:
  absl::StatusOr<VersionedSegment> GetSegment(MonotonicTime) override {
    return VersionedSegment{.descriptor = descriptor_, .version = 1};
  }
  absl::StatusOr<std::string> Handshake(const ControlHandshake& handshake,
                                        MonotonicTime deadline) override {
    return transport_.Accept(handshake.client, handshake.payload, deadline);
  }
  absl::Status Notify(const ControlNotification&, MonotonicTime) override {
    MutexLock lock(mutex_);
    ++calls_;
    while (!answering_) answers_.WaitUntil(mutex_, kNoDeadline);
    return absl::OkStatus();
  }

  const Incarnation incarnation_ = *Incarnation::Random();
  std::vector<std::byte> bytes_ = std::vector<std::byte>(100);
  BufferRegistry memory_{1};
  FakeTransport transport_;
  SegmentDescriptor descriptor_;
  mutable Mutex mutex_;
  CondVar answers_;
  bool answering_ ABSL_GUARDED_BY(mutex_) = false;
  int calls_ ABSL_GUARDED_BY(mutex_) = 0;
  std::unique_ptr<ControlServer> server_;
};

class NotificationOutboxTest : public EngineFixture {
 protected:
  static SubmitOptions Notifying(const std::string& message) {
    SubmitOptions options;
    options.timeout = kForEver;
    options.notification = {.name = "n", .message = message};
    return options;
  }
  // The message that comes next to an engine.
  std::string Take(TransferEngine& engine) {
    const auto taken = engine.TakeNotification(Soon());
    return taken.has_value() ? taken->notification.message : "none";
  }
};

TEST_F(NotificationOutboxTest, ASilentPeerDelaysNobodyElse) {
  Start({.connect_timeout = kForEver});
  SilentPeer silent("silent", network_);
  TE_ASSERT_OK(
      StoreSegmentResolver(store_).Publish(silent.descriptor(), Soon()));
  Request to_silent = Write(0, 1);
  to_silent.segment = Open("silent");
  to_silent.remote_address = silent.descriptor().buffers.begin()->address;
  std::vector<Batch> waiting;
  for (int i = 0; i < 20; ++i) {
    waiting.push_back(Submit({{to_silent}}, Notifying("to silent")));
  }
  while (silent.calls() == 0) std::this_thread::yield();

  // The other peer has to be connected again, and is notified.
  server_.transport->DisconnectPeers();
  Batch batch = Submit(FourWrites(), Notifying("to server"));
  EXPECT_EQ(Take(*server_.engine), "to server");
  EXPECT_TRUE(batch.Wait(Soon()));
  EXPECT_EQ(silent.calls(), 1);
  EXPECT_FALSE(waiting.front().finished());

  silent.Answer();
  for (Batch& patient : waiting) {
    EXPECT_TRUE(patient.Wait(Soon()));
    TE_EXPECT_OK(patient.notification_status());
  }
  EXPECT_EQ(silent.calls(), 20);
}

TEST_F(NotificationOutboxTest, EachArrivesOnceAndInOrderAtAFullInbox) {
  Start({.max_notifications = 1});
  std::vector<Batch> batches;
  for (int i = 0; i < 5; ++i) {
    batches.push_back(Submit({{Write(0, 1)}}, Notifying(absl::StrCat(i))));
    // They are queued in the order in which they are submitted.
    EXPECT_TRUE(batches.back().Wait(0, Soon()));
  }
  for (int i = 0; i < 5; ++i) {
    EXPECT_EQ(Take(*server_.engine), absl::StrCat(i));
    EXPECT_TRUE(batches[i].Wait(Soon()));
    TE_EXPECT_OK(batches[i].notification_status());
  }
  EXPECT_FALSE(server_.engine->TakeNotification(RealClock().Now()));
}

TEST_F(NotificationOutboxTest, ADeadlineEndsWhatWaitsBehindAnother) {
  Start({.max_notifications = 1});
  TE_EXPECT_OK(Transfer({{Write(0, 1)}}, Notifying("fills the inbox")));
  Batch patient = Submit({{Write(0, 1)}}, Notifying("patient"));
  SubmitOptions options = Notifying("hasty");
  options.timeout = std::chrono::milliseconds(20);
  Batch hasty = Submit({{Write(0, 1)}}, options);
  EXPECT_TRUE(hasty.Wait(Soon()));
  EXPECT_THAT(hasty.notification_status(),
              StatusIs(absl::StatusCode::kDeadlineExceeded));
  // Nor does it take up room any longer.
  hasty = Batch();
  while (client_.engine->Status().batches_in_use > 1) std::this_thread::yield();
  EXPECT_FALSE(patient.finished());
  EXPECT_EQ(Take(*server_.engine), "fills the inbox");
  EXPECT_EQ(Take(*server_.engine), "patient");
  EXPECT_TRUE(patient.Wait(Soon()));
}

TEST_F(NotificationOutboxTest, TheEndOfTheEngineEndsWhatWaits) {
  Start({.max_notifications = 1});
  TE_EXPECT_OK(Transfer({{Write(0, 1)}}, Notifying("fills the inbox")));
  Batch first = Submit({{Write(0, 1)}}, Notifying("first"));
  Batch second = Submit({{Write(0, 1)}}, Notifying("second"));
  client_.engine.reset();
  for (const Batch* batch : {&first, &second}) {
    EXPECT_TRUE(batch->finished());
    EXPECT_FALSE(batch->notification_status().ok());
  }
}

}  // namespace
}  // namespace te
