#include "te/metadata/watch_hub.h"

#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/status_matchers.h"
#include "te/metadata/metadata_store.h"

namespace te {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::UnorderedElementsAre;

std::string Text(const WatchEvent& event) {
  switch (event.kind) {
    case WatchEvent::Kind::kBegun:
      return "begun";
    case WatchEvent::Kind::kChanged:
      return absl::StrCat(event.key, "=", event.version);
    case WatchEvent::Kind::kBroken:
      return absl::StrCat("broken: ", event.status.message());
  }
  return "?";
}

class WatchHubTest : public testing::Test {
 protected:
  WatchCallback Into(std::vector<std::string>& told) {
    return [&told](const WatchEvent& event) { told.push_back(Text(event)); };
  }
  std::unique_ptr<StoreWatch> Add(const WatchScope& scope,
                                  std::vector<std::string>& told) {
    auto watch = hub_.Add(scope, Into(told));
    TE_EXPECT_OK(watch);
    return *std::move(watch);
  }

  std::vector<std::string> scopes_;
  WatchHub hub_{{.max_watches = 3,
                 .on_scope = [this](const WatchScope& scope, bool added) {
                   scopes_.push_back(absl::StrCat(added ? "+" : "-", scope.key,
                                                  scope.prefix ? "*" : ""));
                 }}};
};

TEST_F(WatchHubTest, TellsWhoAsked) {
  std::vector<std::string> exact, below, other;
  const auto a = Add({.key = "a/1"}, exact);
  const auto b = Add({.key = "a/", .prefix = true}, below);
  const auto c = Add({.key = "b"}, other);
  // Not begun yet: whoever begins looks anyway.
  hub_.Change("a/1", 4);
  hub_.Begin({.key = "a/1"});
  hub_.Begin({.key = "a/", .prefix = true});
  hub_.Begin({.key = "b"});
  hub_.Change("a/1", 5);
  hub_.Change("a/2", 6);
  hub_.Change("a", 7);
  EXPECT_THAT(exact, ElementsAre("begun", "a/1=5"));
  EXPECT_THAT(below, ElementsAre("begun", "a/1=5", "a/2=6"));
  EXPECT_THAT(other, ElementsAre("begun"));
}

TEST_F(WatchHubTest, ALaterWatchLearnsHowItsScopeStands) {
  std::vector<std::string> first, second, third;
  const auto a = Add({.key = "k"}, first);
  hub_.Begin({.key = "k"});
  const auto b = Add({.key = "k"}, second);
  hub_.BreakAll(absl::UnavailableError("gone"));
  const auto c = Add({.key = "k"}, third);
  hub_.Begin({.key = "k"});
  EXPECT_THAT(first, ElementsAre("begun", "broken: gone", "begun"));
  EXPECT_THAT(second, ElementsAre("begun", "broken: gone", "begun"));
  EXPECT_THAT(third, ElementsAre("broken: gone", "begun"));
}

TEST_F(WatchHubTest, OneScopeBreaksAlone) {
  std::vector<std::string> first, second;
  const auto a = Add({.key = "a"}, first);
  const auto b = Add({.key = "b"}, second);
  hub_.Break({.key = "a"}, absl::PermissionDeniedError("no"));
  EXPECT_THAT(first, ElementsAre("broken: no"));
  EXPECT_THAT(second, IsEmpty());
}

TEST_F(WatchHubTest, KnowsItsScopes) {
  std::vector<std::string> told;
  auto a = Add({.key = "k"}, told);
  auto b = Add({.key = "k"}, told);
  auto c = Add({.key = "k", .prefix = true}, told);
  EXPECT_THAT(hub_.Scopes(),
              UnorderedElementsAre(WatchScope{"k"}, WatchScope{"k", true}));
  a.reset();
  c.reset();
  EXPECT_THAT(hub_.Scopes(), ElementsAre(WatchScope{"k"}));
  EXPECT_TRUE(hub_.Has({.key = "k"}));
  EXPECT_FALSE(hub_.Has({.key = "k", .prefix = true}));
  b.reset();
  EXPECT_THAT(hub_.Scopes(), IsEmpty());
  EXPECT_THAT(scopes_, ElementsAre("+k", "+k*", "-k*", "-k"));
  hub_.Begin({.key = "k"});
  EXPECT_THAT(told, IsEmpty());
}

TEST_F(WatchHubTest, IsBounded) {
  std::vector<std::string> told;
  auto a = Add({.key = "a"}, told);
  const auto b = Add({.key = "b"}, told);
  const auto c = Add({.key = "c"}, told);
  EXPECT_THAT(hub_.Add({.key = "d"}, Into(told)),
              StatusIs(absl::StatusCode::kResourceExhausted, HasSubstr("'d'")));
  a.reset();
  TE_EXPECT_OK(hub_.Add({.key = "d"}, Into(told)));
}

}  // namespace
}  // namespace te
