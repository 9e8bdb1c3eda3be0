#include "te/transport/shm/shm_rail.h"

#include <pthread.h>
#include <sched.h>
#include <sys/mman.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/incarnation.h"
#include "te/base/memory_location.h"
#include "te/base/process_resources.h"
#include "te/base/status_matchers.h"
#include "te/base/unique_fd.h"
#include "te/transport/local_memory.h"
#include "te/transport/mappable_bytes.h"
#include "te/transport/recording_sink.h"
#include "te/transport/shm/copy_pools.h"
#include "te/transport/shm/hello.h"
#include "te/transport/shm/link_watcher.h"
#include "te/transport/shm/peer_link.h"
#include "te/transport/shm/shm_options.h"
#include "te/transport/shm/shm_server.h"
#include "te/transport/slice.h"

namespace te::shm {
namespace {

using absl::StatusCode;
using testing::HasSubstr;

constexpr size_t kPage = 4096;
constexpr size_t kPages = 64;
constexpr uint32_t kSlot = 1;
constexpr uint32_t kReadOnlySlot = 2;

MonotonicTime Soon() {
  return DeadlineAfter(RealClock().Now(), std::chrono::seconds(60));
}

// Server and rail of one process, between which the kernel copies. All pages
// are granted, as one buffer, and as another one that may only be read.
class ShmRailTest : public testing::Test {
 protected:
  void SetUp() override {
    pages_ = static_cast<std::byte*>(mmap(nullptr, kPages * kPage,
                                          PROT_READ | PROT_WRITE,
                                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    ASSERT_NE(pages_, MAP_FAILED);
    Connect({.direct_within_process = false});
  }
  void TearDown() override {
    rail_.reset();
    munmap(pages_, kPages * kPage);
  }

  void Connect(const ShmOptions& options,
               const std::map<int, std::vector<int>>& node_cpus = {}) {
    rail_.reset();
    TE_ASSERT_OK_AND_ASSIGN(pools_, CopyPools::Create(1, node_cpus));
    TE_ASSERT_OK_AND_ASSIGN(server_, ShmServer::Create(options, /*slots=*/4));
    LocalMemory memory = {.slot = kSlot,
                          .address = pages_,
                          .length = kPages * kPage,
                          .remote_read = true,
                          .remote_write = true};
    key_ = server_->Grant(memory).Serialize();
    memory.slot = kReadOnlySlot;
    memory.remote_write = false;
    read_only_key_ = server_->Grant(memory).Serialize();
    TE_ASSERT_OK_AND_ASSIGN(
        const Token token,
        server_->Promise({.incarnation = Incarnation({1})}, Soon()));
    TE_ASSERT_OK_AND_ASSIGN(
        auto link,
        PeerLink::Connect(options, server_->socket_name(), token, Soon()));
    rail_ = std::make_shared<ShmRail>("rail", std::move(link),
                                      options.inline_bytes, *pools_);
  }

  // One slice for each page.
  std::vector<Slice> Slices(Operation operation, RecordingSink& sink) {
    std::vector<Slice> slices(kPages);
    for (size_t i = 0; i < kPages; ++i) {
      slices[i].operation = operation;
      slices[i].request = static_cast<uint32_t>(i);
      slices[i].local = local_.data() + i * kPage;
      slices[i].remote_address = reinterpret_cast<uint64_t>(pages_ + i * kPage);
      slices[i].length = kPage;
      slices[i].remote_key = key_;
      slices[i].sink = &sink;
    }
    return slices;
  }
  void Post(std::vector<Slice>& slices) {
    std::vector<Slice*> posted;
    for (Slice& slice : slices) posted.push_back(&slice);
    rail_->Post(posted);
  }

  std::byte* pages_ = nullptr;
  std::vector<std::byte> local_ =
      std::vector<std::byte>(kPages * kPage, std::byte{7});
  std::string key_;
  std::string read_only_key_;
  std::unique_ptr<ShmServer> server_;
  std::unique_ptr<CopyPools> pools_;
  std::shared_ptr<ShmRail> rail_;
};

TEST_F(ShmRailTest, MemoryThatIsNotMappedFailsItsOwnSlicesOnly) {
  const std::vector<size_t> holes = {0, 5, 6, 31, kPages - 1};
  for (const size_t hole : holes) {
    ASSERT_EQ(munmap(pages_ + hole * kPage, kPage), 0);
  }
  for (const auto operation : {Operation::kWrite, Operation::kRead}) {
    RecordingSink sink(kPages);
    std::vector<Slice> slices = Slices(operation, sink);
    Post(slices);
    ASSERT_TRUE(sink.Wait(Soon()));
    std::vector<size_t> failed;
    for (size_t i = 0; i < kPages; ++i) {
      const absl::Status status = *sink.outcome(i);
      if (status.ok()) continue;
      failed.push_back(i);
      EXPECT_THAT(status, StatusIs(StatusCode::kInvalidArgument,
                                   HasSubstr("not mapped")));
    }
    EXPECT_EQ(failed, holes);
    TE_EXPECT_OK(rail_->health());
  }
  EXPECT_EQ(memcmp(pages_ + kPage, local_.data(), 4 * kPage), 0);
  TE_EXPECT_OK(server_->Revoke(kSlot, RealClock().Now()));
}

TEST_F(ShmRailTest, WhatIsRefusedFailsAloneAmongOthers) {
  RecordingSink sink(kPages);
  std::vector<Slice> slices = Slices(Operation::kWrite, sink);
  slices[3].remote_key = read_only_key_;
  slices[4].remote_key = "no key";
  slices[5].remote_address += kPages * kPage;
  // Others of another operation in between.
  slices[7].operation = Operation::kRead;
  slices[7].remote_key = read_only_key_;
  Post(slices);
  ASSERT_TRUE(sink.Wait(Soon()));
  const std::vector<StatusCode> expected = {
      StatusCode::kOk,       StatusCode::kOk,
      StatusCode::kOk,       StatusCode::kPermissionDenied,
      StatusCode::kNotFound, StatusCode::kOutOfRange,
      StatusCode::kOk,       StatusCode::kOk,
      StatusCode::kOk};
  for (size_t i = 0; i < kPages; ++i) {
    EXPECT_EQ(sink.outcome(i)->code(),
              i < expected.size() ? expected[i] : StatusCode::kOk)
        << "slice " << i;
  }
  EXPECT_EQ(pages_[2 * kPage], std::byte{7});
  EXPECT_EQ(pages_[3 * kPage], std::byte{0});
  TE_EXPECT_OK(rail_->health());
}

TEST_F(ShmRailTest, ACutSessionFailsTheRail) {
  server_->DisconnectPeers();
  RecordingSink sink(kPages);
  std::vector<Slice> slices = Slices(Operation::kWrite, sink);
  Post(slices);
  ASSERT_TRUE(sink.Wait(Soon()));
  for (size_t i = 0; i < kPages; ++i) {
    EXPECT_THAT(*sink.outcome(i), StatusIs(StatusCode::kUnavailable));
  }
  EXPECT_THAT(rail_->health(), StatusIs(StatusCode::kUnavailable));
  EXPECT_EQ(pages_[0], std::byte{0});
}

TEST_F(ShmRailTest, AClosedRailRefusesWithTheReason) {
  rail_->Close(absl::CancelledError("as a test"));
  RecordingSink sink(kPages);
  std::vector<Slice> slices = Slices(Operation::kWrite, sink);
  Post(slices);
  ASSERT_TRUE(sink.Wait(Soon()));
  EXPECT_THAT(sink.status(),
              StatusIs(StatusCode::kCancelled, HasSubstr("as a test")));
  EXPECT_EQ(pages_[0], std::byte{0});
}

// Two nodes, both with the CPU that this runs on, and a thread for each.
class NodesTest : public ShmRailTest {
 protected:
  void SetUp() override {
    ShmRailTest::SetUp();
    const int cpu = sched_getcpu();
    ASSERT_GE(cpu, 0);
    Connect({.inline_bytes = 0}, {{0, {cpu}}, {1, {cpu}}});
    ASSERT_EQ(pools_->size(), 2U);
  }

  std::vector<Slice> SlicesOn(uint16_t node, RecordingSink& sink) {
    std::vector<Slice> slices = Slices(Operation::kRead, sink);
    for (Slice& slice : slices) {
      slice.local_location = MemoryLocation::Cpu(node);
    }
    return slices;
  }
};

TEST_F(NodesTest, TheThreadsNextToTheLocalMemoryCopy) {
  for (const uint16_t node : {1, 0, 1}) {
    std::atomic<int> strangers{0};
    RecordingSink sink(kPages, [&](const Slice&, const absl::Status&) {
      char name[16] = {};
      pthread_getname_np(pthread_self(), name, sizeof(name));
      if (name != absl::StrCat("te-shm-", node, "-0")) ++strangers;
    });
    std::vector<Slice> slices = SlicesOn(node, sink);
    Post(slices);
    ASSERT_TRUE(sink.Wait(Soon()));
    TE_EXPECT_OK(sink.status());
    EXPECT_EQ(strangers, 0) << "node " << node;
  }
}

TEST_F(NodesTest, WhatWaitsForAnyOfThemIsWithdrawn) {
  // Both threads are kept busy with a slice.
  std::atomic<bool> go_on{false};
  std::atomic<int> busy{0};
  RecordingSink first(2, [&](const Slice&, const absl::Status&) {
    ++busy;
    while (!go_on) sched_yield();
  });
  RecordingSink withdrawn(2);
  std::vector<std::vector<Slice>> posted;
  for (const uint16_t node : {0, 1}) {
    posted.push_back(SlicesOn(node, first));
    posted.back().resize(1);
    posted.back()[0].request = node;
    Post(posted.back());
  }
  while (busy < 2) sched_yield();
  for (const uint16_t node : {0, 1}) {
    posted.push_back(SlicesOn(node, withdrawn));
    posted.back().resize(1);
    posted.back()[0].request = node;
    Post(posted.back());
  }
  rail_->Withdraw([&](const Slice& slice) { return slice.sink == &withdrawn; },
                  absl::CancelledError("withdrawn"));
  EXPECT_EQ(withdrawn.done(), 2U);
  EXPECT_THAT(withdrawn.status(), StatusIs(StatusCode::kCancelled));
  go_on = true;
  ASSERT_TRUE(first.Wait(Soon()));
  TE_EXPECT_OK(first.status());
}

// Who polls copies for all.
TEST_F(NodesTest, ClosingGivesBackWhatWaitsForAnyOfThem) {
  for (int round = 0; round < 50; ++round) {
    Connect({.inline_bytes = 0},
            {{0, {sched_getcpu()}}, {1, {sched_getcpu()}}});
    RecordingSink sinks[] = {RecordingSink(kPages), RecordingSink(kPages)};
    std::vector<Slice> slices[] = {SlicesOn(0, sinks[0]),
                                   SlicesOn(1, sinks[1])};
    for (auto& some : slices) Post(some);
    rail_->Close(absl::CancelledError("as a test"));
    for (const auto& sink : sinks) EXPECT_EQ(sink.done(), kPages);
  }
}

// A request from a process to itself may be to memory that it also comes from.
TEST_F(ShmRailTest, OverlappingMemoryOfOneProcessIsMoved) {
  Connect({});
  for (size_t i = 0; i < 4 * kPage; ++i) {
    pages_[i] = static_cast<std::byte>(i * 7 / 3);
  }
  const std::vector<std::byte> before(pages_, pages_ + 4 * kPage);
  for (const auto operation : {Operation::kRead, Operation::kWrite}) {
    memcpy(pages_, before.data(), before.size());
    RecordingSink sink(1);
    std::vector<Slice> slices = Slices(operation, sink);
    slices.resize(1);
    const bool read = operation == Operation::kRead;
    // From the first pages to what begins 100 bytes later.
    slices[0].local = pages_ + (read ? 100 : 0);
    slices[0].remote_address =
        reinterpret_cast<uint64_t>(pages_ + (read ? 0 : 100));
    slices[0].length = 3 * kPage;
    Post(slices);
    ASSERT_TRUE(sink.Wait(Soon()));
    TE_EXPECT_OK(sink.status());
    EXPECT_EQ(memcmp(pages_ + 100, before.data(), 3 * kPage), 0);
  }
}

// Mapped memory is reached by its file: the address that it has in the owner is
// one here, as the kernel would find it, where there is nothing.
class MappedRailTest : public ShmRailTest {
 protected:
  void SetUp() override {
    ShmRailTest::SetUp();
    TE_ASSERT_OK_AND_ASSIGN(watcher_, LinkWatcher::Create());
    before_ = CountMappings("memfd:te-memory");
  }
  void TearDown() override {
    ShmRailTest::TearDown();
    EXPECT_EQ(CountMappings("memfd:te-memory"), before_);
  }

  LocalMemory Memory(uint32_t slot) const {
    return {.slot = slot,
            .address = reinterpret_cast<std::byte*>(kNowhere),
            .length = memory_.size(),
            .remote_read = true,
            .remote_write = true,
            .fd = memory_.fd()};
  }
  void Grant(uint32_t slot) { key_ = server_->Grant(Memory(slot)).Serialize(); }
  void ConnectWatched() {
    TE_ASSERT_OK_AND_ASSIGN(
        const Token token,
        server_->Promise({.incarnation = Incarnation({1})}, Soon()));
    TE_ASSERT_OK_AND_ASSIGN(
        auto link, PeerLink::Connect({.direct_within_process = false},
                                     server_->socket_name(), token, Soon(),
                                     watcher_.get()));
    rail_ =
        std::make_shared<ShmRail>("rail", std::move(link), 1 << 20, *pools_);
  }
  absl::Status Transfer(Operation operation, uint64_t offset = 0,
                        uint32_t length = kPage) {
    RecordingSink sink(1);
    std::vector<Slice> slices = Slices(operation, sink);
    slices.resize(1);
    slices[0].remote_address = kNowhere + offset;
    slices[0].length = length;
    Post(slices);
    EXPECT_TRUE(sink.Wait(Soon()));
    return sink.status();
  }
  // Of the rail, beyond the owner's own.
  bool AwaitMappings(size_t count) const {
    const MonotonicTime deadline = Soon();
    while (CountMappings("memfd:te-memory") != before_ + count) {
      if (RealClock().Now() >= deadline) return false;
      sched_yield();
    }
    return true;
  }

  static constexpr uint64_t kNowhere = 0x1000;
  static constexpr uint32_t kMappedSlot = 3;
  const MappableBytes memory_ = MappableBytes(16 * kPage);
  size_t before_ = 0;
  std::unique_ptr<LinkWatcher> watcher_;
};

TEST_F(MappedRailTest, ItIsCopiedWithoutTheKernel) {
  Grant(kMappedSlot);
  TE_ASSERT_OK(Transfer(Operation::kWrite, 100));
  EXPECT_EQ(memory_.data()[99], std::byte{0});
  EXPECT_EQ(memcmp(memory_.data() + 100, local_.data(), kPage), 0);
  EXPECT_EQ(memory_.data()[100 + kPage], std::byte{0});
  memory_.data()[100] = std::byte{1};
  TE_ASSERT_OK(Transfer(Operation::kRead, 100));
  EXPECT_EQ(local_[0], std::byte{1});
  EXPECT_EQ(local_[1], std::byte{7});
}

TEST_F(MappedRailTest, APeerThatComesLaterHearsOfWhatThereIs) {
  Grant(kMappedSlot);
  ConnectWatched();
  EXPECT_TRUE(AwaitMappings(1));
  TE_EXPECT_OK(Transfer(Operation::kWrite));
}

// An idle peer keeps nothing that the owner has given up.
TEST_F(MappedRailTest, WhatIsWithdrawnIsUnmappedByIdlePeers) {
  ConnectWatched();
  Grant(kMappedSlot);
  EXPECT_TRUE(AwaitMappings(1));
  TE_EXPECT_OK(Transfer(Operation::kWrite));
  TE_EXPECT_OK(server_->Revoke(kMappedSlot, Soon()));
  server_->Withdraw(kMappedSlot);
  EXPECT_TRUE(AwaitMappings(0));
  EXPECT_THAT(Transfer(Operation::kRead), StatusIs(StatusCode::kNotFound));
  // And what comes in its place is mapped anew.
  Grant(kMappedSlot);
  TE_EXPECT_OK(Transfer(Operation::kRead));
}

TEST_F(MappedRailTest, AnOwnerThatEndsLeavesNothingBehind) {
  ConnectWatched();
  Grant(kMappedSlot);
  TE_EXPECT_OK(Transfer(Operation::kWrite));
  server_.reset();
  EXPECT_TRUE(AwaitMappings(0));
  EXPECT_THAT(Transfer(Operation::kRead), StatusIs(StatusCode::kUnavailable));
}

TEST_F(MappedRailTest, AClosedRailLeavesNothingBehind) {
  ConnectWatched();
  Grant(kMappedSlot);
  TE_EXPECT_OK(Transfer(Operation::kWrite));
  rail_->Close(absl::CancelledError("as a test"));
  EXPECT_EQ(CountMappings("memfd:te-memory"), before_);
}

// What cannot be mapped is left to the kernel.
TEST_F(MappedRailTest, MemoryWhoseLengthIsNotSealedIsNotMapped) {
  const UniqueFd file(memfd_create("te-test", MFD_CLOEXEC));
  ASSERT_EQ(ftruncate(file.get(), kPages * kPage), 0);
  key_ = server_
             ->Grant({.slot = kMappedSlot,
                      .address = pages_,
                      .length = kPages * kPage,
                      .remote_read = true,
                      .remote_write = true,
                      .fd = file.get()})
             .Serialize();
  RecordingSink sink(kPages);
  std::vector<Slice> slices = Slices(Operation::kWrite, sink);
  Post(slices);
  ASSERT_TRUE(sink.Wait(Soon()));
  TE_EXPECT_OK(sink.status());
  EXPECT_EQ(memcmp(pages_, local_.data(), kPages * kPage), 0);
}

TEST_F(MappedRailTest, MappingCanBeSwitchedOff) {
  Connect({.map_memory = false, .direct_within_process = false});
  Grant(kMappedSlot);
  EXPECT_THAT(Transfer(Operation::kWrite),
              StatusIs(StatusCode::kInvalidArgument, HasSubstr("not mapped")));
}

// Long rows are streamed past the caches: see copy_bytes.h.
TEST_F(MappedRailTest, LongRowsArriveWhole) {
  const MappableBytes large(8 << 20);
  const std::vector<std::byte> source(large.size(), std::byte{5});
  LocalMemory memory = Memory(kMappedSlot);
  memory.length = large.size();
  memory.fd = large.fd();
  key_ = server_->Grant(memory).Serialize();
  constexpr uint32_t kLength = 1 << 20;
  for (uint64_t offset = 0; offset < large.size(); offset += kLength) {
    RecordingSink sink(1);
    std::vector<Slice> slices = Slices(Operation::kWrite, sink);
    slices.resize(1);
    slices[0].local = const_cast<std::byte*>(source.data()) + offset;
    slices[0].remote_address = kNowhere + offset;
    slices[0].length = kLength;
    Post(slices);
    ASSERT_TRUE(sink.Wait(Soon()));
    TE_ASSERT_OK(sink.status());
  }
  EXPECT_EQ(memcmp(large.data(), source.data(), source.size()), 0);
}

}  // namespace
}  // namespace te::shm
