// Where registered memory lies, as its slices and peers are told.

#include <errno.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "glog/logging.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/memory_location.h"
#include "te/base/status_matchers.h"
#include "te/core/buffer_registry.h"
#include "te/core/request.h"
#include "te/metadata/buffer_table.h"
#include "te/metadata/transport_keys.h"
#include "te/topology/memory_placement.h"
#include "te/transport/local_memory.h"

namespace te {
namespace {

// Counts what is logged of the location of memory.
class WarningCounter final : public google::LogSink {
 public:
  WarningCounter() { google::AddLogSink(this); }
  ~WarningCounter() override { google::RemoveLogSink(this); }

  void send(google::LogSeverity, const char*, const char*, int,
            const google::LogMessageTime&, const char* message,
            size_t length) override {
    const std::string text(message, length);
    if (text.find("NUMA") != std::string::npos) ++count_;
  }
  int count() const { return count_; }

 private:
  std::atomic<int> count_ = 0;
};

// Memory on a machine whose kernel says what the test does: pages on nodes 0
// and 1 in turn, each third one untouched. It is not there, nor needed.
class BufferLocationTest : public testing::Test {
 protected:
  static constexpr uint64_t kPage = 4096;

  BufferLocationTest() {
    PlacementOptions options;
    options.page_bytes = kPage;
    options.find_page_nodes = [this](absl::Span<void* const> pages,
                                     absl::Span<int> nodes) {
      ++calls_;
      if (refusing_) return absl::PermissionDeniedError("scripted");
      for (size_t i = 0; i < pages.size(); ++i) {
        const size_t page = (reinterpret_cast<uint64_t>(pages[i]) -
                             reinterpret_cast<uint64_t>(Page(0))) /
                            kPage;
        nodes[i] = page % 3 == 2 ? -ENOENT : static_cast<int>(page % 3);
      }
      return absl::OkStatus();
    };
    registry_.emplace(4, options);
  }

  static void* Page(uint64_t number, uint64_t offset = 0) {
    return reinterpret_cast<void*>(  // NOLINT: nobody follows it
        (uint64_t{1} << 40) + number * kPage + offset);
  }
  BufferRegistry::LocalPin Pin(const void* address, uint64_t length) {
    auto pin = registry_->PinLocal(address, length, {});
    TE_EXPECT_OK(pin);
    return pin.ok() ? *std::move(pin) : BufferRegistry::LocalPin();
  }
  // What peers are told of the only buffer.
  std::string Told() {
    const BufferTable table = registry_->Describe().table;
    return table.size() == 1 ? table.begin()->location.ToString() : "?";
  }

  bool refusing_ = false;
  int calls_ = 0;
  std::optional<BufferRegistry> registry_;
};

TEST_F(BufferLocationTest, EachSliceHasItsOwn) {
  TE_ASSERT_OK(registry_->Register({.address = Page(0), .length = 3 * kPage}));
  EXPECT_EQ(Told(), "*");
  const auto pin = Pin(Page(0), 3 * kPage);
  EXPECT_EQ(pin.LocationOf(Page(0), kPage), MemoryLocation::Cpu(0));
  EXPECT_EQ(pin.LocationOf(Page(1), kPage), MemoryLocation::Cpu(1));
  EXPECT_EQ(pin.LocationOf(Page(2), kPage), MemoryLocation());
  EXPECT_EQ(pin.LocationOf(Page(0, kPage - 10), 30), MemoryLocation::Cpu(1));
  EXPECT_EQ(pin.LocationOf(Page(0, kPage - 20), 30), MemoryLocation::Cpu(0));
}

TEST_F(BufferLocationTest, PeersAreToldTheNodeOfThePagesThatHaveOne) {
  TE_ASSERT_OK(
      registry_->Register({.address = Page(1, 5), .length = kPage + 10}));
  EXPECT_EQ(Told(), "cpu:1");
  const auto pin = Pin(Page(1, 5), kPage + 10);
  EXPECT_EQ(pin.LocationOf(Page(1, 5), 1), MemoryLocation::Cpu(1));
  EXPECT_EQ(pin.LocationOf(Page(2), 1), MemoryLocation());
}

TEST_F(BufferLocationTest, WhatTheOwnerSaysIsNotAsked) {
  TE_ASSERT_OK(registry_->Register({.address = Page(0),
                                    .length = 3 * kPage,
                                    .location = MemoryLocation::Cuda(7)}));
  EXPECT_EQ(calls_, 0);
  EXPECT_EQ(Told(), "cuda:7");
  EXPECT_EQ(Pin(Page(1), 1).LocationOf(Page(1), 1), MemoryLocation::Cuda(7));
}

TEST_F(BufferLocationTest, EachRegistrationLooksAnew) {
  TE_ASSERT_OK_AND_ASSIGN(
      const BufferId id,
      registry_->Register({.address = Page(0), .length = kPage}));
  EXPECT_EQ(Told(), "cpu:0");
  TE_ASSERT_OK(registry_->Unregister(
      id, DeadlineAfter(RealClock().Now(), std::chrono::seconds(60))));
  TE_ASSERT_OK(registry_->Register({.address = Page(1), .length = kPage}));
  EXPECT_EQ(calls_, 2);
  EXPECT_EQ(Told(), "cpu:1");
  EXPECT_EQ(Pin(Page(1), 1).LocationOf(Page(1), 1), MemoryLocation::Cpu(1));
}

TEST_F(BufferLocationTest, AKernelThatDoesNotTellIsNoErrorAndLoggedOnce) {
  WarningCounter warnings;
  refusing_ = true;
  TE_ASSERT_OK(registry_->Register({.address = Page(0), .length = kPage}));
  EXPECT_EQ(Told(), "*");
  EXPECT_EQ(Pin(Page(0), 1).LocationOf(Page(0), 1), MemoryLocation());
  TE_ASSERT_OK(registry_->Register({.address = Page(1), .length = kPage}));
  EXPECT_EQ(calls_, 2);
  EXPECT_EQ(warnings.count(), 1);
}

TEST_F(BufferLocationTest, AFullRegistryDoesNotLookAtPages) {
  for (int i = 0; i < 4; ++i) {
    TE_ASSERT_OK(registry_->Register({.address = Page(i), .length = kPage}));
  }
  EXPECT_EQ(calls_, 4);
  EXPECT_THAT(registry_->Register({.address = Page(0), .length = kPage}),
              StatusIs(absl::StatusCode::kResourceExhausted));
  EXPECT_EQ(calls_, 4);
}

TEST_F(BufferLocationTest, TransportsAreToldTheNodeOfABufferIfItIsOneAlone) {
  for (const auto& [pages, place] :
       {std::pair(1, MemoryLocation::Cpu(0)), std::pair(2, MemoryLocation())}) {
    TE_ASSERT_OK(
        registry_->Register({.address = Page(0), .length = pages * kPage},
                            [&, expected = place](const LocalMemory& memory) {
                              EXPECT_EQ(memory.location, expected);
                              return TransportKeys();
                            }));
  }
}

}  // namespace
}  // namespace te
