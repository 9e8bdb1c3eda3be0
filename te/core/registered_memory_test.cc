// What transports hear of registered memory, and what slices say of it.
#include <cstddef>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/memory_location.h"
#include "te/base/status_matchers.h"
#include "te/core/engine_fixture.h"
#include "te/core/request.h"
#include "te/core/transfer_engine.h"
#include "te/transport/fake_transport.h"
#include "te/transport/local_memory.h"
#include "te/transport/slice.h"

namespace te {
namespace {

using testing::AllOf;
using testing::HasSubstr;

// The fake transports make sure that each slice has the right slot and key.
class RegisteredMemoryTest : public EngineFixture {
 protected:
  void SetUp() override {
    spare_network_ = std::make_shared<FakeNetwork>();
    Start({});
  }

  static MemoryRegion Part(Node& node, size_t begin, size_t length) {
    return {.address = node.memory.data() + begin, .length = length};
  }
};

TEST_F(RegisteredMemoryTest, EveryTransportKnowsIt) {
  // One buffer of each engine.
  EXPECT_EQ(network_->registered(), 2u);
  EXPECT_EQ(spare_network_->registered(), 2u);
  TE_ASSERT_OK_AND_ASSIGN(const BufferId id,
                          client_.engine->RegisterMemory(Part(client_, 0, 10)));
  EXPECT_EQ(network_->registered(), 3u);
  TE_EXPECT_OK(client_.engine->UnregisterMemory(id, kEnough));
  EXPECT_EQ(network_->registered(), 2u);
  EXPECT_EQ(spare_network_->registered(), 2u);
  client_.engine.reset();
  server_.engine.reset();
  EXPECT_EQ(network_->registered(), 0u);
  EXPECT_EQ(spare_network_->registered(), 0u);
}

TEST_F(RegisteredMemoryTest, IsRegisteredWithAllTransportsOrNone) {
  spare_network_->set_on_register([](const LocalMemory& memory) {
    return memory.length == 7 ? absl::ResourceExhaustedError("raise the limit")
                              : absl::OkStatus();
  });
  const std::vector<MemoryRegion> regions = {
      Part(server_, 0, 10), Part(server_, 10, 7), Part(server_, 20, 10)};
  EXPECT_THAT(server_.engine->RegisterMemory(absl::MakeConstSpan(regions)),
              StatusIs(absl::StatusCode::kResourceExhausted,
                       AllOf(HasSubstr("transport spare"),
                             HasSubstr("raise the limit"))));
  EXPECT_EQ(network_->registered(), 2u);
  EXPECT_EQ(spare_network_->registered(), 2u);
  EXPECT_EQ(server_.engine->Status().buffers, 1u);
  spare_network_->set_on_register(nullptr);
  TE_EXPECT_OK(server_.engine->RegisterMemory(absl::MakeConstSpan(regions)));
}

// Also of slices that have waited for the connection.
TEST_F(RegisteredMemoryTest, AnotherTransportGetsItsOwnKey) {
  const auto rail = [&] { return client_.engine->Status().segments[0].rail; };
  EXPECT_EQ(rail(), "fake to server");
  network_->set_script([this](uint64_t index, const Slice&) {
    if (index == 2) server_.transport->DisconnectPeers();
    return absl::OkStatus();
  });
  network_->FailConnects(1, Unavailable());
  TE_EXPECT_OK(Transfer(FourWrites()));
  EXPECT_EQ(rail(), "spare to server");
  EXPECT_GT(spare_network_->slices(), 0u);
  EXPECT_TRUE(Arrived(8 * kSlice));
  // Those that are submitted now have it from the start.
  const uint64_t before = network_->slices();
  TE_EXPECT_OK(Transfer(FourWrites()));
  EXPECT_EQ(network_->slices(), before);
}

TEST_F(RegisteredMemoryTest, ANewRegistrationHasANewKey) {
  for (int i = 0; i < 3; ++i) {
    TE_ASSERT_OK(server_.engine->UnregisterMemory(server_.buffer, kEnough));
    TE_ASSERT_OK_AND_ASSIGN(server_.buffer, server_.engine->RegisterMemory(
                                                Part(server_, 0, kBytes)));
    TE_ASSERT_OK(client_.engine->RefreshSegment(segment_, kEnough));
    TE_EXPECT_OK(Transfer(FourWrites()));
  }
}

TEST_F(RegisteredMemoryTest, SlicesSayWhereTheirLocalMemoryLies) {
  TE_ASSERT_OK(client_.engine->UnregisterMemory(client_.buffer, kEnough));
  MemoryRegion region = Part(client_, 0, kBytes);
  region.location = MemoryLocation::Cpu(5);
  TE_ASSERT_OK(client_.engine->RegisterMemory(region));
  network_->set_script([](uint64_t, const Slice& slice) {
    EXPECT_EQ(slice.local_location, MemoryLocation::Cpu(5));
    return absl::OkStatus();
  });
  TE_EXPECT_OK(Transfer(FourWrites()));
  EXPECT_EQ(network_->slices(), 8u);
}

}  // namespace
}  // namespace te
