#include "te/metadata/stored_segment.h"

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/incarnation.h"
#include "te/base/status_matchers.h"
#include "te/metadata/in_process_store.h"
#include "te/metadata/metadata_store.h"
#include "te/metadata/segment.pb.h"
#include "te/metadata/segment_descriptor.h"
#include "te/metadata/segment_parts.h"

namespace te {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

SegmentDescriptor Descriptor(const std::string& name) {
  SegmentDescriptor descriptor;
  descriptor.name = name;
  descriptor.incarnation = Incarnation({1});
  descriptor.version = 1;
  descriptor.buffers = {{.address = 1, .length = 2}};
  return descriptor;
}

class StoredSegmentTest : public testing::Test {
 protected:
  void Put(const std::string& name, const SegmentDescriptor& descriptor) {
    TE_ASSERT_OK(store_.Put(
        SegmentKey(name),
        {{0, *descriptor.SerializeHead()}, {1, *descriptor.SerializePage(0)}},
        {}, kNoDeadline));
  }

  InProcessStore store_;
};

TEST_F(StoredSegmentTest, ReadsAllOrTheHead) {
  SegmentDescriptor written = Descriptor("a");
  Put("a", written);
  TE_ASSERT_OK_AND_ASSIGN(const SegmentSnapshot all,
                          ReadStoredSegment(store_, "a", nullptr, kNoDeadline));
  EXPECT_EQ(all.descriptor, written);
  TE_ASSERT_OK_AND_ASSIGN(const SegmentSnapshot head,
                          ReadStoredHead(store_, "a", kNoDeadline));
  written.buffers = {};
  EXPECT_EQ(head.descriptor, written);
  EXPECT_EQ(head.revision, all.revision);
  EXPECT_THAT(ReadStoredHead(store_, "b", kNoDeadline),
              StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(StoredSegmentTest, SaysWhatIsWrong) {
  Put("b", Descriptor("a"));
  TE_ASSERT_OK(store_.Put("te/segment/c", {{0, "garbage"}}, {}, kNoDeadline));
  TE_ASSERT_OK(store_.Put("te/segment/d", {}, {}, kNoDeadline));
  for (const char* name : {"b", "c", "d"}) {
    const auto wrong =
        StatusIs(absl::StatusCode::kDataLoss,
                 AllOf(HasSubstr(SegmentKey(name)), HasSubstr("remove")));
    EXPECT_THAT(ReadStoredHead(store_, name, kNoDeadline), wrong);
    EXPECT_THAT(ReadStoredSegment(store_, name, nullptr, kNoDeadline), wrong);
  }
}

TEST_F(StoredSegmentTest, ANewerFormatIsSaidToBeOne) {
  proto::SegmentDescriptor newer;
  ASSERT_TRUE(newer.ParseFromString(*Descriptor("a").SerializeHead()));
  newer.set_protocol_version(SegmentDescriptor::kProtocolVersion + 1);
  TE_ASSERT_OK(store_.Put(SegmentKey("a"), {{0, newer.SerializeAsString()}}, {},
                          kNoDeadline));
  EXPECT_THAT(
      ReadStoredHead(store_, "a", kNoDeadline),
      StatusIs(absl::StatusCode::kUnimplemented,
               AllOf(HasSubstr("'te/segment/a'"),
                     HasSubstr("protocol version 2"), HasSubstr("upgrade"))));
}

TEST_F(StoredSegmentTest, ListsTheGoodAndTheBad) {
  EXPECT_THAT(ListStoredSegments(store_, "", kNoDeadline),
              IsOkAndHolds(IsEmpty()));
  Put("a", Descriptor("a"));
  Put("ab", Descriptor("ab"));
  Put("b", Descriptor("wrong"));
  TE_ASSERT_OK(store_.Put("other", {{0, "x"}}, {}, kNoDeadline));
  TE_ASSERT_OK_AND_ASSIGN(const std::vector<ListedSegment> all,
                          ListStoredSegments(store_, "", kNoDeadline));
  ASSERT_THAT(all, SizeIs(3));
  EXPECT_EQ(all[0].name, "a");
  EXPECT_EQ(all[0].head->descriptor.name, "a");
  EXPECT_EQ(all[1].name, "ab");
  EXPECT_EQ(all[2].name, "b");
  EXPECT_THAT(all[2].head, StatusIs(absl::StatusCode::kDataLoss));
  EXPECT_THAT(ListStoredSegments(store_, "a", kNoDeadline),
              IsOkAndHolds(SizeIs(2)));
}

}  // namespace
}  // namespace te
