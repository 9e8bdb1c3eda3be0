#include "te/core/segment_publisher.h"

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/incarnation.h"
#include "te/base/status_matchers.h"
#include "te/metadata/segment_descriptor.h"
#include "te/metadata/segment_parts.h"
#include "te/metadata/segment_resolver.h"

namespace te {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

// Does what a test tells it to.
class ScriptedResolver final : public SegmentResolver {
 public:
  absl::StatusOr<SegmentSnapshot> Lookup(absl::string_view,
                                         const SegmentSnapshot*,
                                         MonotonicTime) override {
    return absl::UnimplementedError("not asked for here");
  }
  absl::Status Publish(const SegmentDescriptor& descriptor,
                       MonotonicTime) override {
    published.push_back(descriptor.version);
    return on_publish ? on_publish() : absl::OkStatus();
  }
  Duration lease() const override { return lease_time; }
  absl::Status Renew(absl::string_view, MonotonicTime) override {
    ++renewals;
    return on_renew ? on_renew() : absl::OkStatus();
  }
  absl::Status Withdraw(absl::string_view name, const Incarnation&,
                        MonotonicTime) override {
    withdrawn.emplace_back(name);
    return absl::OkStatus();
  }

  Duration lease_time = Duration::zero();
  std::function<absl::Status()> on_publish;
  std::function<absl::Status()> on_renew;
  // One call at a time, so these need no lock.
  std::vector<uint64_t> published;
  std::vector<std::string> withdrawn;
  std::atomic<int> renewals{0};
};

class SegmentPublisherTest : public testing::Test {
 protected:
  void Await(const std::function<bool()>& condition) {
    const MonotonicTime deadline = RealClock().Now() + seconds(60);
    while (!condition()) {
      ASSERT_LT(RealClock().Now(), deadline);
      std::this_thread::yield();
    }
  }

  ScriptedResolver resolver_;
  SegmentPublisher publisher_{resolver_, "a", Incarnation({1}),
                              [this] {
                                SegmentDescriptor descriptor;
                                descriptor.version = publisher_.version();
                                return descriptor;
                              },
                              seconds(60)};
};

TEST_F(SegmentPublisherTest, TakesBackWhatMayHaveBeenPublished) {
  publisher_.Withdraw(kNoDeadline);
  EXPECT_THAT(resolver_.withdrawn, ElementsAre());
  resolver_.on_publish = [] { return absl::DeadlineExceededError("unclear"); };
  EXPECT_FALSE(publisher_.Publish().ok());
  publisher_.Withdraw(kNoDeadline);
  EXPECT_THAT(resolver_.withdrawn, ElementsAre("a"));
}

TEST_F(SegmentPublisherTest, OnePublicationDoesForAllThatWait) {
  constexpr int kWaiting = 5;
  std::atomic<bool> first_may_end = false;
  resolver_.on_publish = [&] {
    Await([&] { return first_may_end.load(); });
    return absl::OkStatus();
  };
  std::vector<std::thread> threads;
  for (int i = 0; i <= kWaiting; ++i) {
    threads.emplace_back([&] { TE_EXPECT_OK(publisher_.Publish()); });
  }
  Await([&] { return publisher_.version() == kWaiting + 1; });
  first_may_end = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_LE(resolver_.published.size(), 2u);
  EXPECT_EQ(resolver_.published.back(), kWaiting + 1u);
}

TEST_F(SegmentPublisherTest, NobodyWaitsForeverForAnother) {
  SegmentPublisher publisher(
      resolver_, "a", Incarnation({1}),
      [] {
        SegmentDescriptor descriptor;
        descriptor.version = 1;
        return descriptor;
      },
      milliseconds(10));
  std::atomic<bool> calling = false;
  std::atomic<bool> may_end = false;
  resolver_.on_publish = [&] {
    calling = true;
    Await([&] { return may_end.load(); });
    return absl::OkStatus();
  };
  std::thread hanging([&] { TE_EXPECT_OK(publisher.Publish()); });
  Await([&] { return calling.load(); });
  EXPECT_THAT(publisher.Publish(), StatusIs(absl::StatusCode::kDeadlineExceeded,
                                            HasSubstr("metadata store")));
  may_end = true;
  hanging.join();
}

TEST_F(SegmentPublisherTest, RenewsAndPublishesWhatWasLost) {
  resolver_.lease_time = milliseconds(30);
  TE_ASSERT_OK(publisher_.Publish());
  std::atomic<bool> republished = false;
  resolver_.on_renew = [&] {
    return resolver_.renewals == 2 ? absl::NotFoundError("lost")
                                   : absl::OkStatus();
  };
  resolver_.on_publish = [&] {
    republished = true;
    return absl::OkStatus();
  };
  TE_ASSERT_OK(publisher_.KeepAlive());
  Await([&] { return republished && resolver_.renewals > 3; });
  publisher_.Withdraw(kNoDeadline);
  EXPECT_THAT(resolver_.published, ElementsAre(1, 2));
}

}  // namespace
}  // namespace te
