// What every transport promises of rails that were closed.
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "gtest/gtest.h"
#include "te/base/status_matchers.h"
#include "te/transport/recording_sink.h"
#include "te/transport/slice.h"
#include "te/transport/transport.h"
#include "te/transport/transport_conformance.h"

namespace te {

absl::Status TransportConformance::Fence(uint64_t rail_id) {
  return client_->Fence({.name = "server", .incarnation = server_id_}, rail_id,
                        *channel_, Soon());
}

namespace {

constexpr size_t kSlices = 64;
constexpr uint32_t kLength = 100'000;

absl::Status Gone() { return absl::UnavailableError("cut by the test"); }

// What a closed rail had sent must not arrive after what the next one sends.
TEST_P(TransportConformance, ReconnectingFencesTheEarlierRail) {
  for (int round = 0; round < 20; ++round) {
    memset(local_.data(), 0x11, local_.size());
    RecordingSink early(kSlices);
    auto slices = MakeSlices(Operation::kWrite, kSlices, kLength, early);
    rail_->Post(Pointers(slices));
    early.Wait(static_cast<size_t>(round), Soon());
    Reconnect();
    EXPECT_EQ(server_memory_.pins(), 0);
    memset(remote_.data(), 0x22, remote_.size());
    TE_ASSERT_OK(Transfer(Operation::kRead, 0, kSlices * kLength));
    ASSERT_TRUE(AllAre(absl::MakeSpan(local_).first(kSlices * kLength),
                       std::byte{0x22}));
  }
}

// The same where another transport goes on: here a rail of another id does.
TEST_P(TransportConformance, FenceEndsTheEarlierRail) {
  for (int round = 0; round < 20; ++round) {
    memset(local_.data(), 0x11, local_.size());
    RecordingSink early(kSlices);
    auto slices = MakeSlices(Operation::kWrite, kSlices, kLength, early);
    rail_->Post(Pointers(slices));
    early.Wait(static_cast<size_t>(round), Soon());
    rail_->Close(Gone());
    TE_ASSERT_OK(Fence(kRailId));
    EXPECT_EQ(server_memory_.pins(), 0);
    memset(remote_.data(), 0x22, remote_.size());
    TE_ASSERT_OK_AND_ASSIGN(rail_, Connect(kRailId + 1));
    TE_ASSERT_OK(Transfer(Operation::kRead, 0, kSlices * kLength));
    ASSERT_TRUE(AllAre(absl::MakeSpan(local_).first(kSlices * kLength),
                       std::byte{0x22}));
    rail_->Close(Gone());
    TE_ASSERT_OK_AND_ASSIGN(rail_, Connect(kRailId));
  }
}

TEST_P(TransportConformance, FenceLeavesOtherRailsAlone) {
  TE_EXPECT_OK(Fence(kRailId + 1)) << "there never was one";
  TE_EXPECT_OK(Transfer(Operation::kWrite, 0, kLength));
  TE_ASSERT_OK_AND_ASSIGN(const std::shared_ptr<Rail> other,
                          Connect(kRailId + 1));
  other->Close(Gone());
  for (int i = 0; i < 2; ++i) {
    TE_EXPECT_OK(Fence(kRailId + 1));
    TE_EXPECT_OK(Transfer(Operation::kWrite, 0, kLength));
  }
  TE_EXPECT_OK(rail_->health());
}

}  // namespace
}  // namespace te
