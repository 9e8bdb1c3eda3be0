#ifndef TE_CORE_ENGINE_FIXTURE_H_
#define TE_CORE_ENGINE_FIXTURE_H_

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
#include "absl/types/span.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/incarnation.h"
#include "te/base/socket_address.h"
#include "te/base/status_matchers.h"
#include "te/core/batch.h"
#include "te/core/engine_options.h"
#include "te/core/request.h"
#include "te/core/transfer_engine.h"
#include "te/metadata/in_process_store.h"
#include "te/metadata/segment_resolver.h"
#include "te/metadata/store_segment_resolver.h"
#include "te/topology/memory_placement.h"
#include "te/transport/exposed_memory.h"
#include "te/transport/fake_transport.h"
#include "te/transport/slice.h"
#include "te/transport/transport.h"

namespace te {

// Two engines in one process, over fake transports; the control plane is real.
class EngineFixture : public testing::Test {
 protected:
  static constexpr Duration kEnough = std::chrono::seconds(60);
  static constexpr uint32_t kSlice = 4096;
  static constexpr size_t kBytes = 1 << 20;

  static MonotonicTime Soon() {
    return DeadlineAfter(RealClock().Now(), kEnough);
  }

  struct Node {
    std::vector<std::byte> memory = std::vector<std::byte>(kBytes);
    FakeTransport* transport = nullptr;
    FakeTransport* spare = nullptr;
    std::unique_ptr<TransferEngine> engine;
    BufferId buffer;
  };

  static absl::Status Unavailable() {
    return absl::UnavailableError("scripted");
  }

  void SetUp() override { Start({}); }

  void Start(EngineOptions options) {
    options.slice_bytes = kSlice;
    client_ = Node();
    server_ = Node();
    StartNode("client", options, client_);
    StartNode("server", options, server_);
    segment_ = Open("server");
    for (size_t i = 0; i < kBytes; ++i) {
      client_.memory[i] = static_cast<std::byte>(i * 7 >> 4);
    }
  }

  // Over the store, unless there is a `resolver`.
  void StartNode(const std::string& name, const EngineOptions& options,
                 Node& node,
                 std::unique_ptr<SegmentResolver> resolver = nullptr) {
    EngineParts parts;
    parts.resolver = resolver != nullptr
                         ? std::move(resolver)
                         : std::make_unique<StoreSegmentResolver>(store_);
    parts.control.address = *SocketAddress::FromIp("127.0.0.1", 0);
    parts.advertised_host = "127.0.0.1";
    parts.segment_name = name;
    parts.placement = placement_;
    parts.transports.push_back(
        [&](const Incarnation& self, ExposedMemory& memory)
            -> absl::StatusOr<std::unique_ptr<Transport>> {
          auto transport =
              std::make_unique<FakeTransport>(network_, self, memory);
          node.transport = transport.get();
          return transport;
        });
    if (spare_network_ != nullptr) {
      parts.transports.push_back(
          [&](const Incarnation& self, ExposedMemory& memory)
              -> absl::StatusOr<std::unique_ptr<Transport>> {
            auto transport = std::make_unique<FakeTransport>(
                spare_network_, self, memory, spare_name_);
            node.spare = transport.get();
            return transport;
          });
    }
    TE_ASSERT_OK_AND_ASSIGN(node.engine,
                            TransferEngine::Create(options, std::move(parts)));
    TE_ASSERT_OK_AND_ASSIGN(node.buffer, node.engine->RegisterMemory(
                                             {.address = node.memory.data(),
                                              .length = node.memory.size()}));
  }

  SegmentId Open(const std::string& name) {
    auto id = client_.engine->OpenSegment(name, kEnough);
    TE_EXPECT_OK(id);
    return id.value_or(SegmentId{});
  }

  Request Write(size_t offset, uint64_t length) {
    return {.operation = Operation::kWrite,
            .local = client_.memory.data() + offset,
            .segment = segment_,
            .remote_address =
                reinterpret_cast<uint64_t>(server_.memory.data()) + offset,
            .length = length};
  }
  // Four requests of two slices each.
  std::vector<Request> FourWrites() {
    std::vector<Request> requests;
    for (size_t i = 0; i < 4; ++i) {
      requests.push_back(Write(i * 2 * kSlice, 2 * kSlice));
    }
    return requests;
  }
  Batch Submit(absl::Span<const Request> requests,
               const SubmitOptions& options = {}) {
    auto batch = client_.engine->Submit(requests, options);
    TE_EXPECT_OK(batch);
    return batch.ok() ? *std::move(batch) : Batch();
  }
  absl::Status Transfer(absl::Span<const Request> requests,
                        const SubmitOptions& options = {}) {
    Batch batch = Submit(requests, options);
    EXPECT_TRUE(batch.Wait(Soon()));
    for (size_t i = 0; i < requests.size(); ++i) {
      EXPECT_TRUE(batch.result(i).local_reusable);
      if (batch.result(i).status.ok()) {
        EXPECT_EQ(batch.result(i).bytes, requests[i].length);
      }
    }
    return batch.status();
  }
  // Lets go of what the network holds.
  void Release() {
    network_->Release();
    TE_EXPECT_OK(Transfer({{Write(0, 1)}}));
  }
  bool Arrived(size_t bytes) {
    // Takes the lock under which the bytes were copied: ThreadSanitizer does
    // not see that what came over gRPC came later.
    network_->slices();
    return memcmp(client_.memory.data(), server_.memory.data(), bytes) == 0;
  }

  // Of nodes that are started from now on.
  PlacementOptions placement_;
  // Makes them have a second transport.
  std::shared_ptr<FakeNetwork> spare_network_;
  std::string spare_name_ = "spare";
  std::shared_ptr<FakeNetwork> network_ = std::make_shared<FakeNetwork>();
  std::shared_ptr<InProcessStore> store_ = std::make_shared<InProcessStore>();
  Node server_;
  Node client_;
  SegmentId segment_;
};

}  // namespace te

#endif  // TE_CORE_ENGINE_FIXTURE_H_
