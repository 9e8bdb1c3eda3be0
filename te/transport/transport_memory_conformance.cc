// What every transport promises of the memory that is registered with it.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <random>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "gtest/gtest.h"
#include "te/base/status_matchers.h"
#include "te/transport/local_memory.h"
#include "te/transport/recording_sink.h"
#include "te/transport/slice.h"
#include "te/transport/test_memory.h"
#include "te/transport/transport_conformance.h"

namespace te {

void TransportConformance::AwaitHealing(MonotonicTime deadline) {
  absl::Status status = Transfer(Operation::kWrite, 0, 1000);
  while (!status.ok() && RealClock().Now() < deadline) {
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kUnavailable));
    status = Transfer(Operation::kWrite, 0, 1000);
  }
  TE_EXPECT_OK(status);
  TE_EXPECT_OK(rail_->health());
}

using Rights = TestMemory::Rights;

// Some of them aim at other_.
std::vector<TransportConformance::Refusal>
TransportConformance::MakeRefusals() {
  Exposed& gone = Expose(absl::MakeSpan(other_), Rights::kBoth);
  Withdraw(gone);
  const Exposed& readable = Expose(absl::MakeSpan(other_), Rights::kRead);
  const Exposed& writable = Expose(absl::MakeSpan(other_), Rights::kWrite);
  const auto end = reinterpret_cast<uint64_t>(remote_.data() + kBytes);
  // A transport that serves accesses in software looks at the generation
  // alone, and hardware at the key.
  const auto at_gone = [this, &gone](Slice& s, uint64_t generation) {
    Aim(s, other_.data(), gone);
    s.remote_generation = generation;
  };
  using Code = absl::StatusCode;
  return {
      {Code::kNotFound, [=, &gone](Slice& s) { at_gone(s, gone.generation); }},
      {Code::kNotFound, [=](Slice& s) { at_gone(s, 12345); }},
      {Code::kNotFound, [=](Slice& s) { at_gone(s, UINT64_MAX); }},
      {Code::kPermissionDenied,
       [this, &readable](Slice& s) {
         s.operation = Operation::kWrite;
         Aim(s, other_.data(), readable);
       }},
      {Code::kPermissionDenied,
       [this, &writable](Slice& s) {
         s.operation = Operation::kRead;
         Aim(s, other_.data(), writable);
       }},
      {Code::kOutOfRange,
       [end](Slice& s) { s.remote_address = end - s.length + 1; }},
      {Code::kOutOfRange, [end](Slice& s) { s.remote_address = end; }},
      {Code::kOutOfRange, [](Slice& s) { s.remote_address = UINT64_MAX - 10; }},
      {Code::kOutOfRange, [](Slice& s) { s.remote_address = 0; }},
  };
}

namespace {

TEST_P(TransportConformance, RefusesOnlyWhatIsWrong) {
  Fill(absl::MakeSpan(other_), 5);
  const auto untouched = other_;
  const std::vector<Refusal> refusals = MakeRefusals();
  constexpr uint32_t kLength = 90'001;
  for (const Operation operation : {Operation::kRead, Operation::kWrite}) {
    Fill(absl::MakeSpan(local_), 3);
    Fill(absl::MakeSpan(remote_), 4);
    // Good and bad ones in turn.
    const size_t count = 2 * refusals.size() + 1;
    auto expected = operation == Operation::kRead ? local_ : remote_;
    const auto& source = operation == Operation::kRead ? remote_ : local_;
    RecordingSink sink(count);
    auto slices = MakeSlices(operation, count, kLength, sink);
    for (size_t i = 0; i < count; ++i) {
      if (i % 2 == 1) {
        refusals[i / 2].spoil(slices[i]);
      } else {
        std::copy_n(source.begin() + i * kLength, kLength,
                    expected.begin() + i * kLength);
      }
    }
    const std::vector<absl::Status> outcomes = TransferEach(slices);
    for (size_t i = 0; i < count; ++i) {
      if (i % 2 == 0) {
        TE_EXPECT_OK(outcomes[i]) << i;
      } else {
        EXPECT_TRUE(IsRefusal(outcomes[i], refusals[i / 2].code))
            << i << ": " << outcomes[i];
      }
    }
    const auto& result = operation == Operation::kRead ? local_ : remote_;
    EXPECT_EQ(0, memcmp(result.data(), expected.data(), kBytes));
    EXPECT_EQ(other_, untouched);
  }
  TE_EXPECT_OK(rail_->health());
}

// A descriptor may carry any bytes as a key.
TEST_P(TransportConformance, SurvivesAnyKey) {
  Fill(absl::MakeSpan(other_), 5);
  const auto untouched = other_;
  RecordingSink none(1);
  const std::string good(MakeSlice(Operation::kRead, 0, 1, none).remote_key);
  std::vector<std::string> keys = {
      "",
      "x",
      good.substr(0, good.size() / 2),
      good + "x",
      std::string(good.size(), '\0'),
      std::string(good.size(), '\xff'),
      std::string(kMaxKeyBytes, '\0'),
      std::string(kMaxKeyBytes, '\xff'),
  };
  std::mt19937 random(1);
  for (int i = 0; i < 40; ++i) {
    std::string key = good;
    for (char& c : key) {
      // Some differ in a few bytes only.
      if (i % 2 == 0 || random() % 8 == 0) c = static_cast<char>(random());
    }
    keys.push_back(key);
  }
  for (const std::string& key : keys) {
    for (const Operation operation : {Operation::kRead, Operation::kWrite}) {
      RecordingSink sink(1);
      Slice slice = MakeSlice(operation, 1000, 1000, sink);
      slice.remote_key = key;
      Slice* const posted = &slice;
      rail_->Post({&posted, 1});
      ASSERT_TRUE(sink.Wait(Soon()));
      ReconnectIfBroken();
    }
  }
  TE_EXPECT_OK(Transfer(Operation::kWrite, 0, 100'000));
  EXPECT_EQ(0, memcmp(local_.data(), remote_.data(), 100'000));
  EXPECT_EQ(other_, untouched);
}

// What a peer was told of memory is good for as long as it is registered, and
// not for what is registered later, in the same place and slot.
TEST_P(TransportConformance, AKeyIsForOneRegistration) {
  constexpr uint32_t kLength = 1000;
  const auto transfer = [&](Operation operation, const Exposed& memory) {
    RecordingSink sink(1);
    std::vector<Slice> slices = {MakeSlice(operation, 0, kLength, sink)};
    Aim(slices[0], other_.data(), memory);
    return TransferEach(slices)[0];
  };
  for (int round = 0; round < 20; ++round) {
    Fill(absl::MakeSpan(local_), static_cast<uint32_t>(round));
    Exposed& old = Expose(absl::MakeSpan(other_), Rights::kBoth);
    TE_ASSERT_OK(transfer(Operation::kWrite, old));
    ASSERT_EQ(0, memcmp(other_.data(), local_.data(), kLength));
    Withdraw(old);
    const auto untouched = other_;
    Fill(absl::MakeSpan(local_), 1000);
    for (const Operation operation : {Operation::kWrite, Operation::kRead}) {
      const absl::Status status = transfer(operation, old);
      ASSERT_TRUE(IsRefusal(status, absl::StatusCode::kNotFound)) << status;
    }
    Exposed& fresh = Expose(absl::MakeSpan(other_), Rights::kBoth);
    ASSERT_EQ(fresh.slot, old.slot);
    const absl::Status status = transfer(Operation::kWrite, old);
    ASSERT_TRUE(IsRefusal(status, absl::StatusCode::kNotFound)) << status;
    ASSERT_EQ(other_, untouched);
    TE_ASSERT_OK(transfer(Operation::kRead, fresh));
    ASSERT_EQ(0, memcmp(other_.data(), local_.data(), kLength));
    Withdraw(fresh);
  }
}

TEST_P(TransportConformance, LocalMemoryComesAndGoes) {
  constexpr uint32_t kSlot = kLocalSlot + 1;
  constexpr uint32_t kLength = 50'000;
  for (uint32_t round = 0; round < 20; ++round) {
    std::vector<std::byte> memory(2 * kLength);
    RegisterLocally(kSlot, absl::MakeSpan(memory));
    Fill(absl::MakeSpan(remote_).first(kLength), round);
    RecordingSink sink(2);
    auto slices = MakeSlices(Operation::kRead, 1, kLength, sink);
    slices[0].local_slot = kSlot;
    slices[0].local = memory.data();
    TE_ASSERT_OK(TransferEach(slices)[0]);
    ASSERT_EQ(0, memcmp(memory.data(), remote_.data(), kLength));
    slices[0].operation = Operation::kWrite;
    slices[0].remote_address += kLength;
    TE_ASSERT_OK(TransferEach(slices)[0]);
    ASSERT_EQ(0, memcmp(memory.data(), remote_.data() + kLength, kLength));
    client_->UnregisterMemory(kSlot);
  }
}

TEST_P(TransportConformance, RegistersWhileOthersTransfer) {
  std::thread transfers([&] {
    for (int i = 0; i < 200; ++i) {
      TE_ASSERT_OK(Transfer(Operation::kWrite, 0, 10'000, i % 2 == 0));
    }
  });
  for (int i = 0; i < 100; ++i) {
    RegisterLocally(kLocalSlot + 1, absl::MakeSpan(other_));
    Exposed& exposed = Expose(absl::MakeSpan(other_), Rights::kBoth);
    Withdraw(exposed);
    client_->UnregisterMemory(kLocalSlot + 1);
  }
  transfers.join();
  TE_EXPECT_OK(rail_->health());
}

TEST_P(TransportConformance, DisconnectPeersLetsGoOfAllMemory) {
  constexpr size_t kSlices = 64;
  for (const Operation operation : {Operation::kWrite, Operation::kRead}) {
    for (int round = 0; round < 10; ++round) {
      RecordingSink sink(kSlices);
      auto slices = MakeSlices(operation, kSlices, 100'000, sink);
      rail_->Post(Pointers(slices));
      sink.Wait(static_cast<size_t>(round), Soon());
      server_->DisconnectPeers();
      EXPECT_EQ(server_memory_.pins(), 0);
      ASSERT_TRUE(sink.Wait(Soon()));
      for (size_t i = 0; i < kSlices; ++i) {
        ASSERT_TRUE(sink.outcome(i)->ok() ||
                    absl::IsUnavailable(*sink.outcome(i)));
      }
      if (GetParam().rails_heal) {
        // Other parts of it may notice later.
        AwaitHealing(Soon());
        continue;
      }
      EXPECT_THAT(Transfer(operation, 0, 1),
                  StatusIs(absl::StatusCode::kUnavailable));
      EXPECT_FALSE(rail_->health().ok());
      Reconnect();
      TE_ASSERT_OK(Transfer(operation, 0, 100'000));
    }
  }
}

}  // namespace
}  // namespace te
