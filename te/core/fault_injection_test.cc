// The engine over TCP whose i-th call goes wrong, for every i.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/incarnation.h"
#include "te/base/socket_address.h"
#include "te/base/status_matchers.h"
#include "te/core/batch.h"
#include "te/core/request.h"
#include "te/core/transfer_engine.h"
#include "te/metadata/in_process_store.h"
#include "te/metadata/store_segment_resolver.h"
#include "te/transport/exposed_memory.h"
#include "te/transport/fault_injecting_transport.h"
#include "te/transport/slice.h"
#include "te/transport/tcp/tcp_transport.h"
#include "te/transport/transport.h"

namespace te {
namespace {

using std::chrono::milliseconds;
using Call = FaultScript::Call;
using Fault = FaultScript::Fault;

constexpr Duration kEnough = std::chrono::seconds(60);
constexpr size_t kRequests = 8;
constexpr size_t kLength = 12'000;  // three slices

MonotonicTime Soon() { return DeadlineAfter(RealClock().Now(), kEnough); }

class FaultInjectionTest : public testing::Test {
 protected:
  void Start(std::shared_ptr<FaultScript> script) {
    client_.reset();
    server_.reset();
    server_ = StartEngine("server", nullptr, remote_);
    client_ = StartEngine("client", std::move(script), local_);
    for (size_t i = 0; i < local_.size(); ++i) {
      local_[i] = static_cast<std::byte>(i * 7 >> 4);
    }
    memset(remote_.data(), 0, remote_.size());
  }

  std::unique_ptr<TransferEngine> StartEngine(
      const std::string& name, std::shared_ptr<FaultScript> script,
      std::vector<std::byte>& memory) {
    EngineParts parts;
    parts.resolver = std::make_unique<StoreSegmentResolver>(store_);
    parts.control.address = *SocketAddress::FromIp("127.0.0.1", 0);
    parts.advertised_host = "127.0.0.1";
    parts.segment_name = name;
    parts.transports.push_back(
        [&](const Incarnation& self, ExposedMemory& exposed)
            -> absl::StatusOr<std::unique_ptr<Transport>> {
          auto tcp = CreateTcpTransport({}, self, exposed);
          if (!tcp.ok() || script == nullptr) return tcp;
          return std::make_unique<FaultInjectingTransport>(*std::move(tcp),
                                                           script);
        });
    auto engine =
        TransferEngine::Create({.slice_bytes = 4096}, std::move(parts));
    TE_EXPECT_OK(engine);
    TE_EXPECT_OK((*engine)->RegisterMemory(
        {.address = memory.data(), .length = memory.size()}));
    return *std::move(engine);
  }

  // Writes all, and counts how often the end is reported.
  Batch Submit(const SubmitOptions& with = {}) {
    const auto segment = client_->OpenSegment("server", kEnough);
    TE_EXPECT_OK(segment);
    std::vector<Request> requests;
    for (size_t i = 0; i < kRequests; ++i) {
      requests.push_back(
          {.operation = Operation::kWrite,
           .local = local_.data() + i * kLength,
           .segment = *segment,
           .remote_address =
               reinterpret_cast<uint64_t>(remote_.data()) + i * kLength,
           .length = kLength});
    }
    SubmitOptions options = with;
    options.on_finished = [this] { ++finished_; };
    auto batch = client_->Submit(requests, options);
    TE_EXPECT_OK(batch);
    return *std::move(batch);
  }
  void ExpectDone(Batch& batch) {
    finished_ = 0;
    TE_EXPECT_OK(batch.status());
    for (size_t i = 0; i < kRequests; ++i) {
      EXPECT_EQ(batch.result(i).bytes, kLength);
      EXPECT_TRUE(batch.result(i).local_reusable);
    }
    EXPECT_EQ(0, memcmp(local_.data(), remote_.data(), kRequests * kLength));
  }

  std::vector<std::byte> remote_ = std::vector<std::byte>(kRequests * kLength);
  std::vector<std::byte> local_ = std::vector<std::byte>(kRequests * kLength);
  std::shared_ptr<InProcessStore> store_ = std::make_shared<InProcessStore>();
  std::atomic<int> finished_ = 0;
  std::unique_ptr<TransferEngine> server_;
  std::unique_ptr<TransferEngine> client_;
};

TEST_F(FaultInjectionTest, EveryCompletionMayFail) {
  for (uint64_t i = 0; i < 3 * kRequests; ++i) {
    const auto script =
        std::make_shared<FaultScript>(Call::kCompletion, i, Fault::kFail);
    Start(script);
    Batch batch = Submit();
    ASSERT_TRUE(batch.Wait(Soon()));
    EXPECT_EQ(finished_, 1);
    ExpectDone(batch);
    EXPECT_EQ(script->count(Call::kCompletion), 3 * kRequests + 1);
  }
}

TEST_F(FaultInjectionTest, EveryPostMayFindTheRailCut) {
  Start(std::make_shared<FaultScript>(Call::kPost, 1, Fault::kFail));
  for (int i = 0; i < 3; ++i) {
    Batch batch = Submit();
    ASSERT_TRUE(batch.Wait(Soon()));
    EXPECT_EQ(finished_, 1);
    ExpectDone(batch);
  }
}

TEST_F(FaultInjectionTest, AnOpenThatCannotConnectSaysSo) {
  Start(std::make_shared<FaultScript>(Call::kConnect, 0, Fault::kFail));
  EXPECT_THAT(client_->OpenSegment("server", kEnough),
              StatusIs(absl::StatusCode::kUnavailable));
  EXPECT_TRUE(client_->Status().segments.empty());
  Batch batch = Submit();
  ASSERT_TRUE(batch.Wait(Soon()));
  ExpectDone(batch);
}

// A lost completion ends by the deadline, and not before the rail is cut.
TEST_F(FaultInjectionTest, ALostCompletionEndsByTheDeadline) {
  for (const uint64_t i : {uint64_t{0}, uint64_t{3 * kRequests - 1}}) {
    Start(std::make_shared<FaultScript>(Call::kCompletion, i, Fault::kDrop));
    SubmitOptions options;
    options.timeout = milliseconds(50);
    Batch batch = Submit(options);
    ASSERT_TRUE(batch.Wait(Soon()));
    EXPECT_EQ(finished_, 1);
    EXPECT_THAT(batch.status(), StatusIs(absl::StatusCode::kDeadlineExceeded));
    for (size_t request = 0; request < kRequests; ++request) {
      EXPECT_TRUE(batch.result(request).local_reusable);
    }
    finished_ = 0;
    Batch next = Submit();
    ASSERT_TRUE(next.Wait(Soon()));
    ExpectDone(next);
  }
}

// Whatever goes wrong, each batch ends once, and what says OK is there.
TEST_F(FaultInjectionTest, ManyFaults) {
  for (uint32_t seed = 1; seed <= 10; ++seed) {
    SCOPED_TRACE(seed);
    Start(std::make_shared<FaultScript>(seed, /*one_in=*/50));
    // The first connection may be refused.
    while (!client_->OpenSegment("server", kEnough).ok()) continue;
    int succeeded = 0;
    bool late = false;
    for (int i = 0; i < 20; ++i) {
      finished_ = 0;
      // Of a batch that was given up, something may still arrive.
      if (!late) memset(remote_.data(), 0, remote_.size());
      SubmitOptions options;
      options.timeout = milliseconds(200);
      Batch batch = Submit(options);
      ASSERT_TRUE(batch.Wait(Soon()));
      EXPECT_EQ(finished_, 1);
      late = !batch.status().ok();
      if (late) continue;
      ++succeeded;
      ExpectDone(batch);
    }
    EXPECT_GT(succeeded, 0);
  }
}

}  // namespace
}  // namespace te
