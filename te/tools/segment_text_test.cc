#include "te/tools/segment_text.h"

#include <memory>
#include <string>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "te/base/incarnation.h"
#include "te/base/memory_location.h"
#include "te/metadata/buffer_table.h"
#include "te/metadata/segment_descriptor.h"
#include "te/metadata/segment_parts.h"
#include "te/metadata/stored_segment.h"

namespace te::tools {
namespace {

using nlohmann::json;
using testing::AllOf;
using testing::HasSubstr;
using testing::MatchesRegex;
using testing::Not;

SegmentSnapshot Example() {
  SegmentSnapshot segment;
  SegmentDescriptor& descriptor = segment.descriptor;
  descriptor.name = "decode-0";
  descriptor.incarnation = Incarnation({0xab, 0xcd});
  descriptor.version = 7;
  descriptor.started_at = 1795392000;
  descriptor.host = {.boot_id = "1a2b", .pid_namespace = 5, .pid = 4711};
  descriptor.control_addresses = {"10.0.0.1:9000", "[fe80::1]:9000"};
  descriptor.transports = {{"rdma", std::string("\x01\xff", 2)}, {"tcp", ""}};
  descriptor.topology = {{"*", {{"mlx5_0", "mlx5_1"}, {}}},
                         {"cpu:0", {{"mlx5_0"}, {"mlx5_1"}}}};
  descriptor.buffers = {{.address = 0x1000,
                         .length = 4096,
                         .location = MemoryLocation::Cpu(1),
                         .remote_read = true,
                         .generation = 3},
                        {.address = 0x8000,
                         .length = 8192,
                         .remote_read = true,
                         .remote_write = true,
                         .generation = ~uint64_t{0}}};
  segment.revision = 99;
  return segment;
}

TEST(SegmentTextTest, ShowsAllOfASegment) {
  EXPECT_THAT(
      ShowText(Example(), 10),
      AllOf(HasSubstr("decode-0"), HasSubstr("abcd0000"),
            HasSubstr("7, revision 99"), HasSubstr("2026-11-23T00:00:00"),
            HasSubstr("process 4711 of boot 1a2b"), HasSubstr("pid:5"),
            HasSubstr("10.0.0.1:9000, [fe80::1]:9000"), HasSubstr("rdma, tcp"),
            HasSubstr("*: mlx5_0, mlx5_1; cpu:0: mlx5_0, else mlx5_1"),
            HasSubstr("2, 12 KiB in all"),
            HasSubstr("0x1000   4 KiB   cpu:1     read         3\n"),
            HasSubstr("0x8000   8 KiB   *         read, write  "),
            Not(HasSubstr("more"))));
}

TEST(SegmentTextTest, ShowsSoManyBuffers) {
  EXPECT_THAT(ShowText(Example(), 1),
              AllOf(HasSubstr("0x1000"), Not(HasSubstr("0x8000")),
                    HasSubstr("and 1 more; see --buffers")));
}

TEST(SegmentTextTest, JsonHoldsAllOfASegment) {
  const json shown = json::parse(ShowJson(Example()));
  EXPECT_EQ(shown["name"], "decode-0");
  EXPECT_EQ(shown["incarnation"], "abcd0000000000000000000000000000");
  EXPECT_EQ(shown["version"], 7);
  EXPECT_EQ(shown["revision"], 99);
  EXPECT_EQ(shown["host"]["pid"], 4711);
  EXPECT_EQ(shown["control_addresses"][1], "[fe80::1]:9000");
  EXPECT_EQ(shown["transports"]["rdma"]["attributes"], "01ff");
  EXPECT_EQ(shown["topology"]["cpu:0"]["fallback"][0], "mlx5_1");
  EXPECT_EQ(shown["buffers"].size(), 2u);
  EXPECT_EQ(shown["buffers"][0]["address"], "0x1000");
  EXPECT_EQ(shown["buffers"][1]["generation"], ~uint64_t{0});
}

TEST(SegmentTextTest, ListsTheGoodAndTheBad) {
  EXPECT_EQ(ListText({}), "no segments\n");
  EXPECT_EQ(json::parse(ListJson({})), json::array());
  const std::vector<ListedSegment> segments = {
      {.name = "decode-0", .head = Example()},
      {.name = "x\n\xff", .head = absl::DataLossError("garbage")}};
  EXPECT_THAT(ListText(segments),
              AllOf(HasSubstr("decode-0  10.0.0.1:9000,[fe80::1]:9000  4711"),
                    HasSubstr("x\\n\\xff: garbage\n")));
  const json listed = json::parse(ListJson(segments));
  EXPECT_EQ(listed[0]["name"], "decode-0");
  EXPECT_EQ(listed[1]["error"], "garbage");
}

TEST(SegmentTextTest, EventsHaveALineEach) {
  EXPECT_THAT(EventText("new", "decode-0", Example()),
              MatchesRegex("20[^\n]*Z  new  decode-0  version 7, incarnation "
                           "abcd[^\n]*process 4711 at 10[^\n]*\n"));
  EXPECT_THAT(EventText("gone", "a", absl::NotFoundError("no")),
              MatchesRegex("20[^\n]*Z  gone  a\n"));
  EXPECT_THAT(EventText("wrong", "a", absl::DataLossError("garbage")),
              HasSubstr("  wrong  a  garbage\n"));
  const std::string line = EventJson("changed", "decode-0", Example());
  EXPECT_EQ(line.find('\n'), line.size() - 1);
  EXPECT_EQ(json::parse(line)["segment"]["version"], 7);
  EXPECT_EQ(
      json::parse(EventJson("gone", "a", absl::NotFoundError("no"))).size(),
      3u);
}

}  // namespace
}  // namespace te::tools
