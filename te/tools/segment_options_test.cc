#include "te/tools/segment_options.h"

#include <limits>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/status_matchers.h"

namespace te::tools {
namespace {

using testing::AllOf;
using testing::HasSubstr;
using testing::Not;

using Words = std::vector<std::string>;

constexpr char kRedis[] = "redis://:secret@localhost";

TEST(SegmentOptionsTest, TakesCommandAndName) {
  TE_ASSERT_OK_AND_ASSIGN(
      SegmentOptions options,
      ParseSegmentOptions({.metadata_server = kRedis}, {"list"}));
  EXPECT_EQ(options.command, SegmentCommand::kList);
  EXPECT_EQ(options.name, "");
  EXPECT_FALSE(options.json);
  EXPECT_EQ(options.buffers, 20u);
  TE_ASSERT_OK_AND_ASSIGN(options,
                          ParseSegmentOptions({.metadata_server = kRedis,
                                               .format = "json",
                                               .force = true,
                                               .buffers = 0},
                                              {"delete", "a"}));
  EXPECT_EQ(options.command, SegmentCommand::kDelete);
  EXPECT_EQ(options.name, "a");
  EXPECT_TRUE(options.json);
  EXPECT_TRUE(options.force);
  EXPECT_EQ(options.buffers, std::numeric_limits<size_t>::max());
}

TEST(SegmentOptionsTest, WithoutAStoreOneSegmentCanBeShown) {
  const SegmentFlags p2p = {.metadata_server = "p2p"};
  TE_EXPECT_OK(ParseSegmentOptions(p2p, {"show", "10.0.0.1:9000"}));
  EXPECT_THAT(ParseSegmentOptions(p2p, {"list"}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("--metadata_server")));
}

TEST(SegmentOptionsTest, SaysWhatIsWrong) {
  const SegmentFlags good = {.metadata_server = kRedis};
  const auto with = [&](auto change) {
    SegmentFlags flags = good;
    change(flags);
    return flags;
  };
  struct Case {
    SegmentFlags flags;
    Words words;
    const char* problem;
  };
  const std::vector<Case> cases = {
      {good, {}, "no command"},
      {good, {"lsit"}, "lsit"},
      {good, {"show"}, "show NAME"},
      {good, {"delete"}, "delete NAME"},
      {good, {"show", "a", "b"}, "one word too many"},
      {good, {"show", "a\n"}, "segment name"},
      {SegmentFlags{}, {"list"}, "--metadata_server: say which"},
      {with([](auto& f) { f.metadata_server = "http://x"; }),
       {"list"},
       "unknown metadata server"},
      {with([](auto& f) { f.format = "xml"; }), {"list"}, "--format"},
      {with([](auto& f) { f.force = true; }), {"show", "a"}, "--force"},
      {with([](auto& f) { f.buffers = -1; }), {"list"}, "--buffers"},
      {with([](auto& f) { f.timeout = 0; }), {"list"}, "--timeout"},
      {with([](auto& f) { f.poll = 1e9; }), {"list"}, "--poll"},
  };
  for (const auto& [flags, words, problem] : cases) {
    EXPECT_THAT(ParseSegmentOptions(flags, words),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         AllOf(HasSubstr(problem), Not(HasSubstr("secret")))))
        << problem;
  }
}

}  // namespace
}  // namespace te::tools
