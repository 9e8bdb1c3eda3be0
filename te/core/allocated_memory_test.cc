// Memory that the engine allocates itself.
#include <sys/stat.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
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
#include "te/base/memory_location.h"
#include "te/base/process_resources.h"
#include "te/base/status_matchers.h"
#include "te/core/batch.h"
#include "te/core/engine_fixture.h"
#include "te/core/request.h"
#include "te/core/transfer_engine.h"
#include "te/metadata/segment_descriptor.h"
#include "te/metadata/segment_resolver.h"
#include "te/transport/fake_transport.h"
#include "te/transport/local_memory.h"
#include "te/transport/slice.h"

namespace te {
namespace {

using testing::AllOf;
using testing::HasSubstr;

size_t Mappings() { return CountMappings("memfd:te"); }

class AllocatedMemoryTest : public EngineFixture {
 protected:
  static AllocatedMemory Allocate(Node& node,
                                  Access access = Access::kRemoteReadWrite) {
    const auto memory =
        node.engine->AllocateMemory({.bytes = kBytes, .access = access});
    TE_EXPECT_OK(memory);
    return memory.value_or(AllocatedMemory());
  }

  Request Between(Operation operation, const AllocatedMemory& local,
                  const AllocatedMemory& remote) const {
    return {.operation = operation,
            .local = local.address,
            .segment = segment_,
            .remote_address = reinterpret_cast<uint64_t>(remote.address),
            .length = kBytes};
  }
};

TEST_F(AllocatedMemoryTest, IsTransferredToAndFrom) {
  const AllocatedMemory local = Allocate(client_);
  const AllocatedMemory remote = Allocate(server_);
  ASSERT_NE(local.address, nullptr);
  ASSERT_NE(remote.address, nullptr);
  EXPECT_EQ(local.length, kBytes);
  EXPECT_EQ(local.address[kBytes - 1], std::byte{0});
  TE_ASSERT_OK(client_.engine->RefreshSegment(segment_, kEnough));
  memset(local.address, 5, kBytes);
  TE_EXPECT_OK(Transfer({{Between(Operation::kWrite, local, remote)}}));
  network_->slices();  // see Arrived
  EXPECT_EQ(memcmp(local.address, remote.address, kBytes), 0);
  memset(remote.address, 6, kBytes);
  TE_EXPECT_OK(Transfer({{Between(Operation::kRead, local, remote)}}));
  network_->slices();
  EXPECT_EQ(memcmp(local.address, remote.address, kBytes), 0);
}

TEST_F(AllocatedMemoryTest, TransportsGetTheFileThatPeersCanMap) {
  int fd = -1;
  uint64_t length = 0;
  network_->set_on_register([&](const LocalMemory& memory) {
    fd = memory.fd;
    length = memory.length;
    return absl::OkStatus();
  });
  const auto memory = client_.engine->AllocateMemory({.bytes = 5000});
  TE_ASSERT_OK(memory);
  EXPECT_EQ(length, 5000u);
  struct stat file = {};
  ASSERT_EQ(fstat(fd, &file), 0);
  EXPECT_GE(file.st_size, 5000);
  // Nobody can map what the engine has not allocated.
  TE_ASSERT_OK(client_.engine->RegisterMemory(
      {.address = memory->address, .length = 100}));
  EXPECT_EQ(length, 100u);
  EXPECT_EQ(fd, -1);
}

TEST_F(AllocatedMemoryTest, PeersSeeItAsItsAccessAllows) {
  const AllocatedMemory hidden = Allocate(server_, Access::kLocalOnly);
  const AllocatedMemory shown = Allocate(server_, Access::kRemoteRead);
  TE_ASSERT_OK(client_.engine->RefreshSegment(segment_, kEnough));
  TE_ASSERT_OK_AND_ASSIGN(const auto segment,
                          client_.engine->DescribeSegment(segment_));
  size_t found = 0;
  for (const BufferDescriptor& buffer : segment->buffers) {
    EXPECT_NE(buffer.address, reinterpret_cast<uint64_t>(hidden.address));
    if (buffer.address != reinterpret_cast<uint64_t>(shown.address)) continue;
    EXPECT_TRUE(buffer.remote_read);
    EXPECT_FALSE(buffer.remote_write);
    ++found;
  }
  EXPECT_EQ(found, 1u);
}

TEST_F(AllocatedMemoryTest, FreeingRefusesNewUsesAndUnmaps) {
  const size_t before = Mappings();
  const AllocatedMemory local = Allocate(client_);
  const AllocatedMemory remote = Allocate(server_);
  EXPECT_EQ(Mappings(), before + 2);
  TE_ASSERT_OK(client_.engine->RefreshSegment(segment_, kEnough));
  TE_EXPECT_OK(server_.engine->FreeMemory(remote.id, kEnough));
  EXPECT_EQ(Mappings(), before + 1);
  EXPECT_FALSE(Transfer({{Between(Operation::kWrite, local, remote)}}).ok());
  TE_EXPECT_OK(client_.engine->FreeMemory(local.id, kEnough));
  EXPECT_EQ(Mappings(), before);
  EXPECT_EQ(client_.engine->Status().buffers, 1u);
  EXPECT_THAT(client_.engine->FreeMemory(local.id, kEnough),
              StatusIs(absl::StatusCode::kNotFound));
  EXPECT_THAT(client_.engine->UnregisterMemory(local.id, kEnough),
              StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(AllocatedMemoryTest, FreeingWaitsForTransfersUnderWay) {
  const AllocatedMemory local = Allocate(client_);
  Request request = Write(0, kSlice);
  request.local = local.address;
  network_->Hold();
  Batch batch = Submit({{request}});
  std::thread freeing(
      [&] { TE_EXPECT_OK(client_.engine->FreeMemory(local.id, kEnough)); });
  // It refuses new uses, and waits for this one.
  while (true) {
    Batch refused = Submit({{request}});
    refused.Cancel();
    ASSERT_TRUE(refused.Wait(Soon()));
    if (absl::IsInvalidArgument(refused.result(0).status)) break;
  }
  EXPECT_FALSE(batch.finished());
  network_->Release();
  EXPECT_TRUE(batch.Wait(Soon()));
  TE_EXPECT_OK(batch.status());
  freeing.join();
}

TEST_F(AllocatedMemoryTest, FreeingCutsOffWhatTakesTooLong) {
  const size_t before = Mappings();
  const AllocatedMemory local = Allocate(client_);
  Request request = Write(0, kSlice);
  request.local = local.address;
  network_->Hold();
  Batch batch = Submit({{request}});
  TE_EXPECT_OK(
      client_.engine->FreeMemory(local.id, std::chrono::milliseconds(1)));
  EXPECT_EQ(Mappings(), before);
  ASSERT_TRUE(batch.Wait(Soon()));
  EXPECT_THAT(batch.status(), StatusIs(absl::StatusCode::kCancelled));
  network_->Release();
}

TEST_F(AllocatedMemoryTest, OneOfManyFrees) {
  for (int i = 0; i < 20; ++i) {
    const AllocatedMemory memory = Allocate(client_);
    std::vector<absl::Status> statuses(4);
    std::vector<std::thread> threads;
    for (absl::Status& status : statuses) {
      threads.emplace_back(
          [&] { status = client_.engine->FreeMemory(memory.id, kEnough); });
    }
    for (std::thread& thread : threads) thread.join();
    EXPECT_THAT(statuses, testing::UnorderedElementsAre(
                              IsOk(), StatusIs(absl::StatusCode::kNotFound),
                              StatusIs(absl::StatusCode::kNotFound),
                              StatusIs(absl::StatusCode::kNotFound)));
  }
}

TEST_F(AllocatedMemoryTest, IsGivenBackInTheWayItWasTaken) {
  const AllocatedMemory memory = Allocate(client_);
  EXPECT_THAT(client_.engine->UnregisterMemory(memory.id, kEnough),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("FreeMemory does both")));
  EXPECT_THAT(client_.engine->FreeMemory(client_.buffer, kEnough),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("use UnregisterMemory")));
  EXPECT_THAT(client_.engine->FreeMemory(BufferId(), kEnough),
              StatusIs(absl::StatusCode::kNotFound));
  // Both are as they were.
  EXPECT_EQ(client_.engine->Status().buffers, 2u);
  Request request = Write(0, kSlice);
  request.local = memory.address;
  TE_EXPECT_OK(Transfer({{request, Write(kSlice, kSlice)}}));
}

TEST_F(AllocatedMemoryTest, TheEndOfTheEngineFreesIt) {
  const size_t before = Mappings();
  Allocate(client_);
  Allocate(server_);
  client_.engine.reset();
  server_.engine.reset();
  EXPECT_EQ(Mappings(), before);
  EXPECT_EQ(network_->registered(), 0u);
}

TEST_F(AllocatedMemoryTest, ErrorsLeaveNothingBehind) {
  const size_t before = Mappings();
  EXPECT_THAT(client_.engine->AllocateMemory({}),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(
      client_.engine->AllocateMemory(
          {.bytes = kBytes, .location = MemoryLocation::Cuda(0)}),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("cuda:0")));
  EXPECT_THAT(client_.engine->AllocateMemory({.bytes = SIZE_MAX}),
              StatusIs(absl::StatusCode::kResourceExhausted));
  network_->set_on_register([](const LocalMemory&) {
    return absl::ResourceExhaustedError("raise the limit");
  });
  EXPECT_THAT(client_.engine->AllocateMemory({.bytes = kBytes}),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       AllOf(HasSubstr("transport fake"),
                             HasSubstr("raise the limit"))));
  EXPECT_EQ(Mappings(), before);
  EXPECT_EQ(client_.engine->Status().buffers, 1u);
}

// Publishes no more than it has been told to.
class LimitedResolver final : public SegmentResolver {
 public:
  explicit LimitedResolver(int publications) : publications_(publications) {}

  absl::StatusOr<SegmentSnapshot> Lookup(absl::string_view,
                                         const SegmentSnapshot*,
                                         MonotonicTime) override {
    return absl::NotFoundError("nobody");
  }
  bool keeps_descriptors() const override { return true; }
  absl::Status Publish(const SegmentDescriptor&, MonotonicTime) override {
    if (published_++ < publications_) return absl::OkStatus();
    return absl::UnavailableError("the store is away");
  }
  absl::Status Withdraw(absl::string_view, const Incarnation&,
                        MonotonicTime) override {
    return absl::OkStatus();
  }

 private:
  const int publications_;
  int published_ = 0;
};

TEST_F(AllocatedMemoryTest, WhatCannotBePublishedIsFreed) {
  const size_t before = Mappings();
  Node node;
  // Of the engine, and of its first buffer.
  StartNode("node", {}, node, std::make_unique<LimitedResolver>(2));
  EXPECT_THAT(
      node.engine->AllocateMemory({.bytes = kBytes}),
      StatusIs(absl::StatusCode::kUnavailable, HasSubstr("the store is away")));
  EXPECT_EQ(Mappings(), before);
  EXPECT_EQ(node.engine->Status().buffers, 1u);
  // What peers are not told of needs no store.
  TE_EXPECT_OK(node.engine->AllocateMemory(
      {.bytes = kBytes, .access = Access::kLocalOnly}));
}

}  // namespace
}  // namespace te
