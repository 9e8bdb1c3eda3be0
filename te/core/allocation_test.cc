// The hot path allocates nothing: counts every allocation of the process while
// batches go to and fro.
#include <malloc.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <functional>
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
#include "te/core/batch_pool.h"
#include "te/core/batch_state.h"
#include "te/core/request.h"
#include "te/core/transfer_engine.h"
#include "te/metadata/in_process_store.h"
#include "te/metadata/store_segment_resolver.h"
#include "te/rdma/emulated/fabric_options.h"
#include "te/rdma/emulated_pair.h"
#include "te/transport/exposed_memory.h"
#include "te/transport/fake_transport.h"
#include "te/transport/slice.h"
#include "te/transport/tcp/tcp_options.h"
#include "te/transport/tcp/tcp_transport.h"
#include "te/transport/transport.h"

namespace {

std::atomic<int64_t> allocations{0};
std::atomic<int64_t> allocated_bytes{0};

}  // namespace

void* operator new(size_t bytes) {
  ++allocations;
  void* const memory = malloc(bytes);
  if (memory == nullptr) abort();
  allocated_bytes += static_cast<int64_t>(malloc_usable_size(memory));
  return memory;
}
void* operator new[](size_t bytes) { return operator new(bytes); }
void operator delete(void* memory) noexcept {
  allocated_bytes -= static_cast<int64_t>(malloc_usable_size(memory));
  free(memory);
}
void operator delete(void* memory, size_t /*bytes*/) noexcept {
  operator delete(memory);
}
void operator delete[](void* memory) noexcept { operator delete(memory); }
void operator delete[](void* memory, size_t /*bytes*/) noexcept {
  operator delete(memory);
}

namespace te {
namespace {

constexpr Duration kEnough = std::chrono::seconds(60);
using MakeTransport = std::function<absl::StatusOr<std::unique_ptr<Transport>>(
    const Incarnation&, ExposedMemory&)>;

class AllocationTest : public testing::Test {
 protected:
  std::unique_ptr<TransferEngine> Start(const std::string& name,
                                        const MakeTransport& make) {
    EngineParts parts;
    parts.resolver = std::make_unique<StoreSegmentResolver>(store_);
    parts.control.address = *SocketAddress::FromIp("127.0.0.1", 0);
    parts.advertised_host = "127.0.0.1";
    parts.segment_name = name;
    parts.transports.push_back(make);
    auto engine = TransferEngine::Create({}, std::move(parts));
    TE_EXPECT_OK(engine);
    return engine.ok() ? *std::move(engine) : nullptr;
  }

  // The least that a round of batches has allocated, once all is warm. The
  // least of several: gRPC's threads do something now and then.
  int64_t Measure(const MakeTransport& make, Operation operation,
                  uint64_t length) {
    const auto server = Start("server", make);
    const auto client = Start("client", make);
    std::vector<std::byte> remote(4 << 20);
    std::vector<std::byte> local(4 << 20);
    for (const auto& [engine, memory] :
         {std::pair(&server, &remote), std::pair(&client, &local)}) {
      TE_EXPECT_OK((*engine)->RegisterMemory(
          {.address = memory->data(), .length = memory->size()}));
    }
    const auto segment = client->OpenSegment("server", kEnough);
    TE_EXPECT_OK(segment);
    std::vector<Request> requests;
    for (size_t i = 0; i < 64; ++i) {
      requests.push_back(
          {.operation = operation,
           .local = local.data() + i * length,
           .segment = *segment,
           .remote_address =
               reinterpret_cast<uint64_t>(remote.data()) + i * length,
           .length = length});
    }
    EXPECT_GT(allocations, 0) << "they are not counted";
    int64_t least = INT64_MAX;
    for (int round = 0; round < 10; ++round) {
      const int64_t before = allocations;
      for (int i = 0; i < 50; ++i) {
        auto batch = client->Submit(requests);
        const bool finished = batch.ok() && batch->Wait();
        if (!finished || !batch->status().ok()) return INT64_MAX;
      }
      // The first rounds let everything grow to its size.
      if (round >= 3) least = std::min<int64_t>(least, allocations - before);
    }
    return least;
  }

  const std::shared_ptr<InProcessStore> store_ =
      std::make_shared<InProcessStore>();
};

TEST_F(AllocationTest, NoneOverTheFakeTransport) {
  const auto network = std::make_shared<FakeNetwork>();
  EXPECT_EQ(Measure(
                [&](const Incarnation& self, ExposedMemory& memory)
                    -> absl::StatusOr<std::unique_ptr<Transport>> {
                  return std::make_unique<FakeTransport>(network, self, memory);
                },
                Operation::kWrite, 4096),
            0);
}

TEST_F(AllocationTest, NoneOverTcp) {
  for (const Operation operation : {Operation::kWrite, Operation::kRead}) {
    for (const uint64_t length : {4096, 65536}) {
      for (const bool checksum : {false, true}) {
        EXPECT_EQ(Measure(
                      [&](const Incarnation& self, ExposedMemory& memory) {
                        return CreateTcpTransport({.checksum = checksum}, self,
                                                  memory);
                      },
                      operation, length),
                  0)
            << (operation == Operation::kRead ? "READ " : "WRITE ") << length;
      }
    }
  }
}

// Over devices that carry everything out at once, and allocate nothing
// themselves: what is counted is the transport's.
TEST_F(AllocationTest, NoneOverRdma) {
  for (const Operation operation : {Operation::kWrite, Operation::kRead}) {
    for (const uint64_t length : {8, 4096, 65536}) {
      rdma::EmulatedPair pair(
          {.mode = rdma::emulated::WireMode::kImmediate, .copy = false},
          {2, 2});
      // The server comes first.
      bool server = true;
      EXPECT_EQ(Measure(
                    [&](const Incarnation& self, ExposedMemory& /*memory*/) {
                      return pair.MakeTransport(
                          std::exchange(server, false) ? "b" : "a", self, {});
                    },
                    operation, length),
                0)
          << (operation == Operation::kRead ? "READ " : "WRITE ") << length;
    }
  }
}

// Every batch of a pool may have been the largest one in its time.
TEST(BatchStorageTest, BatchesKeepTheirShareAlone) {
  constexpr size_t kBatches = 64;
  constexpr size_t kSlices = 4096;
  BatchPool pool(kBatches, kSlices, nullptr);
  const int64_t before = allocated_bytes;
  std::vector<BatchState*> batches;
  for (size_t i = 0; i < kBatches; ++i) {
    TE_ASSERT_OK_AND_ASSIGN(BatchState * batch,
                            pool.Acquire(kSlices, 1, kNoDeadline));
    batches.push_back(batch);
  }
  for (BatchState* batch : batches) {
    TE_ASSERT_OK(pool.ReserveSlices(*batch, kSlices));
    for (size_t i = 0; i < kSlices; ++i) batch->AddSlice();
    pool.Return(*batch);
  }
  EXPECT_LT(allocated_bytes - before, int64_t{1024} * kSlices);
}

}  // namespace
}  // namespace te
