// Ports that go down, addresses that change, devices that fail.

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <numeric>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/status_matchers.h"
#include "te/rdma/rail_fixture.h"
#include "te/transport/recording_sink.h"
#include "te/transport/slice.h"
#include "te/transport/transport.h"

namespace te::rdma {
namespace {

using emulated::EmulatedDevice;
using emulated::EmulatedDeviceSpec;
using emulated::GidOfIpv4;
using emulated::InfiniBandDevice;
using testing::HasSubstr;

constexpr size_t kSlices = 256;
constexpr uint32_t kLength = 64 << 10;

class PortFaultTest : public RailFixture {
 protected:
  // Two NICs each, through which kSlices take some 20 ms.
  void StartTwo() {
    MakeHosts({2, 2}, {}, [](EmulatedDeviceSpec& spec) {
      spec.bytes_per_second = 400'000'000;
    });
    local_.resize(kSlices * size_t{kLength});
    remote_.resize(kSlices * size_t{kLength});
    Fill(1);
    TE_ASSERT_OK(Start());
    for (const auto& rail : rails_) ASSERT_TRUE(Open(*rail));
  }
  void Fill(uint32_t salt) {
    for (size_t i = 0; i < local_.size(); i += sizeof(salt)) {
      const uint32_t word = static_cast<uint32_t>(i) * 2654435761u + salt;
      memcpy(local_.data() + i, &word, sizeof(word));
    }
    memset(remote_.data(), 0, remote_.size());
  }

  // Posts them by turns to the rails that may be used.
  void Spread(const std::vector<Slice*>& slices) {
    Rails usable;
    for (const auto& rail : rails_) {
      rail->Prepare();
      if (rail->state() != Rail::State::kDown) usable.push_back(rail);
    }
    if (usable.empty()) usable.push_back(rails_.front());
    std::vector<std::vector<Slice*>> shares(usable.size());
    for (size_t i = 0; i < slices.size(); ++i) {
      shares[i % usable.size()].push_back(slices[i]);
    }
    for (size_t i = 0; i < usable.size(); ++i) usable[i]->Post(shares[i]);
  }

  // Writes everything; `fault` happens when a part of it is done. What comes
  // back unavailable is posted again over the same rails, until there is none.
  void TransferThrough(Operation operation,
                       const std::function<void()>& fault) {
    std::vector<Slice> slices;
    std::vector<uint32_t> left(kSlices);
    std::iota(left.begin(), left.end(), 0);
    RecordingSink unused(1);
    for (const uint32_t i : left) {
      slices.push_back(
          MakeSlice(operation, i * size_t{kLength}, kLength, unused, i));
    }
    const MonotonicTime deadline = Soon();
    for (int round = 0; !left.empty(); ++round) {
      ASSERT_LT(RealClock().Now(), deadline) << left.size() << " never succeed";
      RecordingSink sink(kSlices);
      std::vector<Slice*> posted;
      for (const uint32_t i : left) {
        slices[i].sink = &sink;
        posted.push_back(&slices[i]);
      }
      Spread(posted);
      if (round == 0) {
        ASSERT_TRUE(sink.Wait(kSlices / 8, Soon()));
        fault();
      }
      ASSERT_TRUE(sink.Wait(left.size(), Soon()));
      std::vector<uint32_t> again;
      for (const uint32_t i : left) {
        const absl::Status status = *sink.outcome(i);
        if (status.ok()) continue;
        ASSERT_THAT(status, StatusIs(absl::StatusCode::kUnavailable));
        again.push_back(i);
      }
      left = std::move(again);
      TE_ASSERT_OK(rail_->health());
    }
    EXPECT_EQ(local_, remote_);
  }
};

TEST_F(PortFaultTest, OneOfTwoPortsGoesDownAndUp) {
  StartTwo();
  uint32_t salt = 1;
  for (const bool at_server : {false, true}) {
    for (const Operation operation : {Operation::kWrite, Operation::kRead}) {
      SCOPED_TRACE(testing::Message()
                   << "at the server: " << at_server
                   << ", read: " << (operation == Operation::kRead));
      Fill(++salt);
      EmulatedDevice& device = at_server ? pair_->b(1) : pair_->a(1);
      TransferThrough(operation, [&] { device.SetPortActive(1, false); });
      if (HasFailure()) return;
      // That of the server is noticed by what is sent there, and told when it
      // is asked for another connection.
      EXPECT_TRUE(Await([&] {
        TransferOver(*rails_[1], operation, 1, kLength);
        return rails_[1]->state() == Rail::State::kDown;
      }));
      EXPECT_EQ(rails_[0]->state(), Rail::State::kReady);
      device.SetPortActive(1, true);
      EXPECT_TRUE(Open(*rails_[1])) << "the NIC is not used again";
      for (const absl::Status& status :
           TransferOver(*rails_[1], operation, kSlices, kLength)) {
        TE_EXPECT_OK(status);
      }
      TE_EXPECT_OK(rail_->health());
    }
  }
}

TEST_F(PortFaultTest, APortFlapsUnderLoad) {
  StartTwo();
  for (int round = 0; round < 10; ++round) {
    EmulatedDevice& device = round % 2 == 0 ? pair_->a(1) : pair_->b(0);
    TransferThrough(Operation::kWrite, [&] {
      device.SetPortActive(1, false);
      device.SetPortActive(1, true);
    });
    if (HasFailure()) return;
  }
}

TEST_F(PortFaultTest, OneOfTwoDevicesFails) {
  for (const bool at_server : {false, true}) {
    StartTwo();
    EmulatedDevice& device = at_server ? pair_->b(1) : pair_->a(1);
    TransferThrough(Operation::kWrite, [&] { device.Fail(); });
    if (HasFailure()) return;
    TransferThrough(Operation::kRead, [] {});
    Stop();
    ExpectNothingLives();
  }
}

TEST_F(PortFaultTest, TheOnlyPortGoesDownAndUp) {
  MakeHosts();
  TE_ASSERT_OK(Start());
  TE_ASSERT_OK(Transfer());
  for (int round = 0; round < 5; ++round) {
    pair_->a(0).SetPortActive(1, false);
    // Once the event has been seen that is what is told, not its effects.
    ASSERT_TRUE(Await([&] {
      return absl::StrContains(Transfer().message(), "mlx5_0 port 1 is DOWN");
    }));
    EXPECT_THAT(Transfer(), StatusIs(absl::StatusCode::kUnavailable,
                                     HasSubstr("mlx5_0 port 1 is DOWN")));
    EXPECT_EQ(rail_->state(), Rail::State::kDown);
    EXPECT_THAT(rail_->why_down(),
                StatusIs(absl::StatusCode::kUnavailable,
                         HasSubstr("mlx5_0 port 1 is DOWN")));
    TE_EXPECT_OK(rail_->health());
    if (round % 2 == 0) {
      CloseRail();
      EXPECT_THAT(Connect(), StatusIs(absl::StatusCode::kUnavailable,
                                      HasSubstr("mlx5_0 port 1 is DOWN")));
    }
    pair_->a(0).SetPortActive(1, true);
    if (round % 2 == 1) {
      // At once, and not when somebody tries.
      EXPECT_TRUE(Await([&] { return rail_->state() == Rail::State::kIdle; }));
      TE_EXPECT_OK(Transfer());
    }
    AwaitHealing();
  }
}

TEST_F(PortFaultTest, TheServersOnlyPortGoesDownAndUp) {
  MakeHosts();
  TE_ASSERT_OK(Start());
  for (int round = 0; round < 5; ++round) {
    pair_->b(0).SetPortActive(1, false);
    absl::Status status;
    ASSERT_TRUE(Await([&] { return !(status = Transfer()).ok(); }));
    EXPECT_THAT(status, StatusIs(absl::StatusCode::kUnavailable));
    // The server says so when it is asked for a connection.
    CloseRail();
    ASSERT_TRUE(Await([&] {
      status = Connect();
      if (status.ok()) CloseRail();
      return absl::StrContains(status.message(), "port 1 is DOWN");
    })) << status;
    pair_->b(0).SetPortActive(1, true);
    AwaitHealing();
  }
}

TEST_F(PortFaultTest, TheOnlyDeviceFails) {
  MakeHosts();
  TE_ASSERT_OK(Start());
  pair_->a(0).Fail();
  ASSERT_TRUE(Await([&] { return !Transfer().ok() && AreAllDown(rails_); }));
  CloseRail();
  ASSERT_TRUE(Await([&] {
    const absl::Status status = Connect();
    return absl::StrContains(status.message(), "has reported a fatal error");
  }));
}

TEST_F(PortFaultTest, AGidChanges) {
  MakeHosts();
  TE_ASSERT_OK(Start());
  TE_ASSERT_OK(Transfer());
  for (uint8_t i = 1; i <= 4; ++i) {
    SCOPED_TRACE(int{i});
    EmulatedDevice& device = i % 2 == 0 ? pair_->a(0) : pair_->b(0);
    device.SetGid(1, {.index = 3,
                      .gid = GidOfIpv4({10, 9, 9, i}),
                      .type = IBV_GID_TYPE_ROCE_V2,
                      .interface_index = 2});
    AwaitHealing();
    TE_ASSERT_OK(Transfer());
    EXPECT_THAT(rail_->name(), HasSubstr(absl::StrCat("10.9.9.", int{i})));
    ASSERT_FALSE(HasFailure());
  }
}

TEST_F(PortFaultTest, LosesPackets) {
  MakeHosts();
  RdmaOptions options = Quick();
  options.ack_timeout = 1;
  TE_ASSERT_OK(Start(options));
  pair_->a(0).SetLossProbability(0.05);
  for (int round = 0; round < 10; ++round) {
    for (const absl::Status& status :
         TransferMany(Operation::kWrite, 100, 1000)) {
      TE_EXPECT_OK(status);
    }
  }
}

class InfiniBandTest : public PortFaultTest {
 protected:
  void SetUp() override {
    MakeHosts({2, 2}, {}, [this](EmulatedDeviceSpec& spec) {
      spec = InfiniBandDevice(spec.name, next_lid_++);
    });
    TE_ASSERT_OK(Start());
  }
  uint16_t next_lid_ = 0x11;
};

TEST_F(InfiniBandTest, MovesBytesByLid) {
  Fill(1);
  for (const absl::Status& status :
       TransferMany(Operation::kWrite, 64, 16384)) {
    TE_EXPECT_OK(status);
  }
  EXPECT_EQ(local_, remote_);
  Fill(2);
  local_.swap(remote_);
  Stop();
  TE_ASSERT_OK(Start());
  for (const absl::Status& status : TransferMany(Operation::kRead, 64, 16384)) {
    TE_EXPECT_OK(status);
  }
  EXPECT_EQ(local_, remote_);
  EXPECT_THAT(rail_->name(), HasSubstr("LID 17"));
}

TEST_F(InfiniBandTest, ALidChanges) {
  for (uint16_t i = 0; i < 4; ++i) {
    EmulatedDevice& device = i % 2 == 0 ? pair_->a(0) : pair_->b(0);
    device.SetLid(1, static_cast<uint16_t>(0x100 + i));
    AwaitHealing();
    TE_ASSERT_OK(Transfer());
  }
}

}  // namespace
}  // namespace te::rdma
