#include "te/transport/transport_conformance.h"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <optional>
#include <random>
#include <thread>
#include <utility>

#include "te/base/status_macros.h"
#include "te/base/status_matchers.h"
#include "te/transport/local_memory.h"

namespace te {

using std::chrono::seconds;

void TransportConformance::SetUp() {
  TE_ASSERT_OK_AND_ASSIGN(client_, GetParam().make(client_id_, client_memory_));
  TE_ASSERT_OK_AND_ASSIGN(server_, GetParam().make(server_id_, server_memory_));
  channel_ = std::make_shared<LoopbackChannel>(client_id_, *server_);
  RegisterLocally(kLocalSlot, absl::MakeSpan(local_));
  exposed_remote_ = &Expose(absl::MakeSpan(remote_), TestMemory::Rights::kBoth);
  TE_ASSERT_OK_AND_ASSIGN(rail_, Connect(kRailId));
}

void TransportConformance::TearDown() {
  if (rail_ != nullptr) rail_->Close(absl::CancelledError("the test is over"));
  rail_.reset();
  DestroyClient();
  for (Exposed& memory : exposed_) {
    if (!memory.withdrawn) Withdraw(memory);
  }
  server_.reset();
  EXPECT_EQ(server_memory_.pins(), 0);
}

int TransportConformance::DescriptorOf(absl::Span<std::byte> memory) const {
  for (const MappableBytes* bytes : {&remote_, &other_}) {
    if (memory.data() == bytes->data()) return bytes->fd();
  }
  return -1;
}

TransportConformance::Exposed& TransportConformance::Expose(
    absl::Span<std::byte> memory, TestMemory::Rights rights) {
  Exposed& exposed = exposed_.emplace_back();
  exposed.slot = free_slots_.back();
  free_slots_.pop_back();
  const absl::StatusOr<std::string> key = server_->RegisterMemory(
      {.slot = exposed.slot,
       .address = memory.data(),
       .length = memory.size(),
       .remote_read = rights != TestMemory::Rights::kWrite,
       .remote_write = rights != TestMemory::Rights::kRead,
       .fd = DescriptorOf(memory)});
  TE_EXPECT_OK(key);
  exposed.key = key.value_or("");
  EXPECT_LE(exposed.key.size(), kMaxKeyBytes);
  exposed.generation = server_memory_.Add(memory, rights);
  return exposed;
}

void TransportConformance::Withdraw(Exposed& memory) {
  memory.withdrawn = true;
  server_memory_.Remove(memory.generation);
  TE_EXPECT_OK(server_->RevokeAccess(memory.slot, Soon()));
  server_->UnregisterMemory(memory.slot);
  free_slots_.push_back(memory.slot);
}

void TransportConformance::RegisterLocally(uint32_t slot,
                                           absl::Span<std::byte> memory) {
  TE_EXPECT_OK(client_->RegisterMemory(
      {.slot = slot, .address = memory.data(), .length = memory.size()}));
}

void TransportConformance::DestroyClient() {
  if (client_ != nullptr) client_->UnregisterMemory(kLocalSlot);
  client_.reset();
}

void TransportConformance::Reconnect() {
  rail_->Close(absl::UnavailableError("cut by the test"));
  TE_ASSERT_OK_AND_ASSIGN(rail_, Connect(kRailId));
}

void TransportConformance::ReconnectIfBroken() {
  if (!rail_->health().ok()) Reconnect();
}

void TransportConformance::Aim(Slice& slice, const std::byte* address,
                               const Exposed& memory) {
  slice.remote_address = reinterpret_cast<uint64_t>(address);
  slice.remote_generation = memory.generation;
  slice.remote_key = memory.key;
}

absl::StatusOr<std::shared_ptr<Rail>> TransportConformance::Connect(
    uint64_t rail_id) {
  TE_ASSIGN_OR_RETURN(
      const Rails rails,
      client_->Connect({.name = "server", .incarnation = server_id_}, rail_id,
                       channel_, Soon()));
  return rails.front();
}

Slice TransportConformance::MakeSlice(Operation operation, size_t offset,
                                      uint32_t length, RecordingSink& sink,
                                      uint32_t index) {
  Slice slice;
  slice.operation = operation;
  slice.request = index;
  slice.local_slot = kLocalSlot;
  slice.local = local_.data() + offset;
  slice.length = length;
  Aim(slice, remote_.data() + offset, *exposed_remote_);
  slice.sink = slice.owner = &sink;
  return slice;
}

std::vector<Slice> TransportConformance::MakeSlices(Operation operation,
                                                    size_t count,
                                                    uint32_t length,
                                                    RecordingSink& sink) {
  std::vector<Slice> slices;
  for (size_t i = 0; i < count; ++i) {
    slices.push_back(MakeSlice(operation, i * length, length, sink,
                               static_cast<uint32_t>(i)));
  }
  return slices;
}

std::vector<Slice*> TransportConformance::Pointers(std::vector<Slice>& slices) {
  std::vector<Slice*> pointers;
  for (Slice& slice : slices) pointers.push_back(&slice);
  return pointers;
}

absl::Status TransportConformance::Transfer(Operation operation, size_t offset,
                                            uint32_t length, bool poll) {
  RecordingSink sink(1);
  Slice slice = MakeSlice(operation, offset, length, sink);
  Slice* const posted = &slice;
  rail_->Post({&posted, 1});
  if (poll) PollUntilDone(sink, 1);
  EXPECT_TRUE(sink.Wait(Soon()));
  // The peer may hear of it a little later than we do that a READ's data have
  // left its memory. ThreadSanitizer needs the lock of the pins to see it.
  EXPECT_TRUE(server_memory_.AwaitPins(0, Soon()));
  return sink.status();
}

std::vector<absl::Status> TransportConformance::TransferEach(
    std::vector<Slice>& slices) {
  const absl::Status unavailable = absl::UnavailableError("not posted yet");
  std::vector<absl::Status> outcomes(slices.size(), unavailable);
  const MonotonicTime deadline = Soon();
  do {
    RecordingSink sink(slices.size());
    std::vector<Slice*> posted;
    for (Slice& slice : slices) {
      const absl::Status& so_far = outcomes[slice.request];
      if (!absl::IsUnavailable(so_far) && !absl::IsAborted(so_far)) continue;
      slice.sink = slice.owner = &sink;
      posted.push_back(&slice);
    }
    if (posted.empty()) break;
    rail_->Post(posted);
    EXPECT_TRUE(sink.Wait(posted.size(), Soon()));
    for (const Slice* slice : posted) {
      outcomes[slice->request] =
          sink.outcome(slice->request).value_or(unavailable);
    }
    if (GetParam().refusals_stay_apart) break;
    ReconnectIfBroken();
  } while (RealClock().Now() < deadline);
  EXPECT_TRUE(server_memory_.AwaitPins(0, Soon()));
  return outcomes;
}

bool TransportConformance::IsRefusal(const absl::Status& status,
                                     absl::StatusCode code) {
  if (GetParam().refusals_stay_apart) return status.code() == code;
  return absl::IsNotFound(status) || absl::IsPermissionDenied(status) ||
         absl::IsOutOfRange(status);
}

void TransportConformance::PollUntilDone(RecordingSink& sink, size_t slices) {
  const MonotonicTime deadline = Soon();
  rail_->BeginPolling();
  while (sink.done() < slices && RealClock().Now() < deadline) {
    if (rail_->Poll() != Progress::kMoved) std::this_thread::yield();
  }
  rail_->EndPolling();
}

void TransportConformance::Fill(absl::Span<std::byte> bytes, uint32_t salt) {
  // Not a power of two, so that a shift by a block shows.
  std::array<uint32_t, 4099> block;
  std::mt19937 random(salt);
  std::generate(block.begin(), block.end(), random);
  while (!bytes.empty()) {
    const size_t part = std::min(bytes.size(), sizeof(block));
    memcpy(bytes.data(), block.data(), part);
    bytes.remove_prefix(part);
  }
}

bool TransportConformance::AllAre(absl::Span<const std::byte> bytes,
                                  std::byte value) {
  return bytes.front() == value &&
         memcmp(bytes.data(), bytes.data() + 1, bytes.size() - 1) == 0;
}

namespace {

absl::Status Gone() { return absl::UnavailableError("cut by the test"); }

TEST_P(TransportConformance, MovesBytesOfAnySizeAndAlignment) {
  uint32_t salt = 0;
  for (const uint32_t length :
       {1u, 2u, 3u, 7u, 64u, 4095u, 4096u, 4097u, 65537u, 1048575u, 5u << 20}) {
    for (const size_t offset : {0, 1, 13}) {
      for (const bool poll : {false, true}) {
        for (const auto operation : {Operation::kWrite, Operation::kRead}) {
          // With some bytes around them, which must stay.
          const size_t all = offset + length + 100;
          Fill(absl::MakeSpan(local_).first(all), ++salt);
          Fill(absl::MakeSpan(remote_).first(all), ++salt);
          const bool write = operation == Operation::kWrite;
          const auto& from = write ? local_ : remote_;
          const auto& to = write ? remote_ : local_;
          std::vector<std::byte> expected(to.begin(), to.begin() + all);
          memcpy(expected.data() + offset, from.data() + offset, length);
          TE_ASSERT_OK(Transfer(operation, offset, length, poll));
          ASSERT_EQ(0, memcmp(to.data(), expected.data(), all))
              << length << " bytes at " << offset << ", write: " << write;
        }
      }
    }
  }
}

TEST_P(TransportConformance, TakesTenThousandSlicesAtOnce) {
  constexpr size_t kSlices = 10'000;
  Fill(absl::MakeSpan(local_), 1);
  RecordingSink writes(kSlices);
  auto slices = MakeSlices(Operation::kWrite, kSlices, 700, writes);
  rail_->Post(Pointers(slices));
  ASSERT_TRUE(writes.Wait(Soon()));
  TE_EXPECT_OK(writes.status());
  EXPECT_EQ(0, memcmp(local_.data(), remote_.data(), kSlices * 700));

  Fill(absl::MakeSpan(remote_), 2);
  RecordingSink reads(kSlices);
  slices = MakeSlices(Operation::kRead, kSlices, 700, reads);
  rail_->Post(Pointers(slices));
  PollUntilDone(reads, kSlices);
  TE_EXPECT_OK(reads.status());
  EXPECT_EQ(0, memcmp(local_.data(), remote_.data(), kSlices * 700));
}

// A WRITE is in the remote memory when its sink hears of it.
TEST_P(TransportConformance, DoneMeansDone) {
  for (uint32_t i = 0; i < 20'000; ++i) {
    const size_t offset = (i * 64) % 4096;
    memset(local_.data() + offset, static_cast<int>(i), 64);
    bool applied = false;
    RecordingSink sink(1, [&](const Slice& slice, const absl::Status& status) {
      applied = status.ok() &&
                memcmp(slice.local, remote_.data() + offset, slice.length) == 0;
    });
    Slice slice = MakeSlice(Operation::kWrite, offset, 64, sink);
    Slice* const posted = &slice;
    rail_->Post({&posted, 1});
    if (i % 2 == 0) PollUntilDone(sink, 1);
    ASSERT_TRUE(sink.Wait(Soon()));
    ASSERT_TRUE(applied) << "WRITE " << i;
  }
}

TEST_P(TransportConformance, ReadsAndWritesMix) {
  constexpr size_t kSlices = 2000;
  constexpr uint32_t kLength = 3001;
  Fill(absl::MakeSpan(local_), 1);
  Fill(absl::MakeSpan(remote_), 2);
  const auto local = local_;
  const auto remote = remote_;
  RecordingSink sink(kSlices);
  auto slices = MakeSlices(Operation::kWrite, kSlices, kLength, sink);
  for (size_t i = 0; i < kSlices; i += 2) {
    slices[i].operation = Operation::kRead;
  }
  auto order = Pointers(slices);
  std::mt19937 random(1);
  std::shuffle(order.begin(), order.end(), random);
  rail_->Post(order);
  ASSERT_TRUE(sink.Wait(Soon()));
  TE_EXPECT_OK(sink.status());
  for (size_t i = 0; i < kSlices; ++i) {
    const auto& source = i % 2 == 0 ? remote : local;
    ASSERT_EQ(0, memcmp(local_.data() + i * kLength,
                        source.data() + i * kLength, kLength));
    ASSERT_EQ(0, memcmp(remote_.data() + i * kLength,
                        source.data() + i * kLength, kLength));
  }
}

TEST_P(TransportConformance, WithdrawnSlicesWereNotSent) {
  constexpr size_t kSlices = 2000;
  constexpr uint32_t kLength = 4000;
  for (int round = 0; round < 10; ++round) {
    memset(remote_.data(), 0, remote_.size());
    memset(local_.data(), 1, local_.size());
    RecordingSink sink(kSlices);
    auto slices = MakeSlices(Operation::kWrite, kSlices, kLength, sink);
    rail_->Post(Pointers(slices));
    rail_->Withdraw([](const Slice& s) { return s.request % 2 == 0; },
                    absl::CancelledError("withdrawn"));
    ASSERT_TRUE(sink.Wait(Soon()));
    for (size_t i = 0; i < kSlices; ++i) {
      const bool done = sink.outcome(i)->ok();
      ASSERT_TRUE(done || (i % 2 == 0 && absl::IsCancelled(*sink.outcome(i))));
      const std::byte expected{done ? uint8_t{1} : uint8_t{0}};
      ASSERT_TRUE(AllAre(absl::MakeSpan(remote_).subspan(i * kLength, kLength),
                         expected));
    }
  }
  TE_EXPECT_OK(Transfer(Operation::kWrite, 0, 1000));
}

TEST_P(TransportConformance, CloseGivesEverythingBack) {
  constexpr size_t kSlices = 1000;
  for (int round = 0; round < 10; ++round) {
    RecordingSink sink(kSlices);
    auto slices =
        MakeSlices(round % 2 == 0 ? Operation::kWrite : Operation::kRead,
                   kSlices, 8000, sink);
    rail_->Post(Pointers(slices));
    rail_->Close(Gone());
    ASSERT_EQ(sink.done(), kSlices);
    for (size_t i = 0; i < kSlices; ++i) {
      const absl::Status status = *sink.outcome(i);
      ASSERT_TRUE(status.ok() || absl::IsUnavailable(status)) << status;
    }
    EXPECT_FALSE(rail_->health().ok());
    EXPECT_EQ(rail_->Poll(), Progress::kIdle);
    EXPECT_THAT(Transfer(Operation::kWrite, 0, 100),
                StatusIs(absl::StatusCode::kUnavailable));
    Reconnect();
  }
}

TEST_P(TransportConformance, CloseDuringPostsAndPolls) {
  constexpr size_t kSlices = 200;
  for (int round = 0; round < 10; ++round) {
    std::atomic<int> ready = 0;
    std::vector<std::thread> threads;
    std::atomic<bool> closed = false;
    for (int t = 0; t < 3; ++t) {
      threads.emplace_back([&, t] {
        bool last = false;
        for (int i = 0; !last; ++i) {
          last = closed;
          RecordingSink sink(kSlices);
          auto slices = MakeSlices(Operation::kWrite, kSlices, 5000, sink);
          // Each thread has memory of its own.
          for (Slice& s : slices) s.remote_address += t * kSlices * 5000;
          rail_->Post(Pointers(slices));
          if (i % 2 == 0) PollUntilDone(sink, kSlices);
          ASSERT_TRUE(sink.Wait(Soon()));
          if (i == 0) ++ready;
        }
      });
    }
    while (ready < 2) std::this_thread::yield();
    rail_->Close(Gone());
    closed = true;
    for (std::thread& thread : threads) thread.join();
    TE_ASSERT_OK_AND_ASSIGN(rail_, Connect(kRailId));
  }
}

TEST_P(TransportConformance, RailsOfDifferentIdsLiveSideBySide) {
  TE_ASSERT_OK_AND_ASSIGN(const std::shared_ptr<Rail> other,
                          Connect(kRailId + 1));
  Fill(absl::MakeSpan(local_), 1);
  TE_EXPECT_OK(Transfer(Operation::kWrite, 0, 100'000));
  other->Close(Gone());
  TE_EXPECT_OK(Transfer(Operation::kWrite, 0, 100'000));
  TE_EXPECT_OK(rail_->health());
}

// Also when the last transfers were completed without a poller.
TEST_P(TransportConformance, AnIdleRailNoticesThatThePeerIsGone) {
  for (const bool poll : {false, true}) {
    TE_ASSERT_OK(Transfer(Operation::kWrite, 0, 1000, poll));
    TE_ASSERT_OK(Transfer(Operation::kRead, 0, 1000, poll));
    for (int i = 0; i < 1000; ++i) std::this_thread::yield();  // to rest
    server_->DisconnectPeers();
    const MonotonicTime deadline =
        DeadlineAfter(RealClock().Now(), seconds(20));
    if (GetParam().rails_heal) {
      AwaitHealing(deadline);
      continue;
    }
    while (rail_->health().ok() && RealClock().Now() < deadline) {
      std::this_thread::yield();
    }
    EXPECT_FALSE(rail_->health().ok()) << "polled: " << poll;
    Reconnect();
  }
}

TEST_P(TransportConformance, SeveralThreadsPostAndPoll) {
  for (const bool poll : {false, true}) {
    std::vector<std::thread> threads;
    for (uint32_t t = 0; t < 8; ++t) {
      threads.emplace_back([&, t] {
        constexpr size_t kSlices = 16;
        constexpr uint32_t kLength = 20'000;
        for (int i = 0; i < 25; ++i) {
          RecordingSink sink(kSlices);
          auto slices = MakeSlices(Operation::kWrite, kSlices, kLength, sink);
          for (Slice& slice : slices) {
            slice.local += t * kSlices * kLength;
            slice.remote_address += t * kSlices * kLength;
            memset(slice.local, i + static_cast<int>(t), kLength);
          }
          rail_->Post(Pointers(slices));
          if (poll) PollUntilDone(sink, kSlices);
          ASSERT_TRUE(sink.Wait(Soon())) << sink.done();
          ASSERT_EQ(sink.status(), absl::OkStatus());
          const size_t offset = t * kSlices * kLength;
          ASSERT_EQ(0, memcmp(local_.data() + offset, remote_.data() + offset,
                              kSlices * kLength));
        }
      });
    }
    for (std::thread& thread : threads) thread.join();
  }
}

// A rail to a process that has only the name and the address of the peer.
TEST_P(TransportConformance, NothingGoesToAnotherIncarnation) {
  Fill(absl::MakeSpan(local_), 1);
  const auto before = remote_;
  const absl::StatusOr<Rails> rails =
      client_->Connect({.name = "server", .incarnation = Incarnation({9})},
                       kRailId + 1, channel_, Soon());
  if (rails.ok()) {
    rail_->Close(Gone());
    rail_ = rails->front();
    EXPECT_FALSE(Transfer(Operation::kWrite, 0, 1000).ok());
  }
  EXPECT_EQ(0, memcmp(remote_.data(), before.data(), kBytes));
}

TEST_P(TransportConformance, AcceptRefusesGarbage) {
  std::mt19937 random(1);
  for (int i = 0; i < 1000; ++i) {
    std::string bytes(random() % 40, '\0');
    for (char& c : bytes) c = static_cast<char>(random());
    server_->Accept(Incarnation({3}), bytes, Soon()).status().IgnoreError();
  }
  TE_EXPECT_OK(Transfer(Operation::kWrite, 0, 1000));
}

TEST_P(TransportConformance, RailsOutliveTheirTransport) {
  TE_ASSERT_OK(Transfer(Operation::kWrite, 0, 1000));
  rail_->Close(Gone());
  DestroyClient();
  EXPECT_THAT(Transfer(Operation::kWrite, 0, 1000),
              StatusIs(absl::StatusCode::kUnavailable));
  rail_->BeginPolling();
  EXPECT_EQ(rail_->Poll(), Progress::kIdle);
  rail_->EndPolling();
  EXPECT_FALSE(rail_->name().empty());
}

}  // namespace

GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(TransportConformance);

}  // namespace te
