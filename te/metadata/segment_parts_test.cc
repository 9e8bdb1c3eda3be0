#include "te/metadata/segment_parts.h"

#include <stddef.h>
#include <stdint.h>

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/incarnation.h"
#include "te/base/status_matchers.h"
#include "te/metadata/buffer_table.h"
#include "te/metadata/metadata_store.h"
#include "te/metadata/segment_descriptor.h"
#include "te/metadata/value_part.h"

namespace te {
namespace {

using ::testing::HasSubstr;

SegmentDescriptor Example(uint8_t incarnation = 1) {
  SegmentDescriptor descriptor;
  descriptor.name = "a";
  descriptor.incarnation = Incarnation({incarnation});
  descriptor.version = 1;
  for (size_t page : {0, 2, 5}) {
    descriptor.buffers.SetPage(
        page,
        std::make_shared<const BufferTable::Page>(
            1, BufferDescriptor{.address = page + incarnation, .length = 1}));
  }
  return descriptor;
}

std::vector<ValuePart> Parts(const SegmentDescriptor& descriptor) {
  auto parts = SegmentParts(
      descriptor,
      [&](size_t page) { return descriptor.buffers.page(page) != nullptr; },
      descriptor.buffers.page_count());
  TE_EXPECT_OK(parts);
  return *std::move(parts);
}

// Answers what a test has laid out, one after the other.
class Answers {
 public:
  void Add(StoredValue value) { values_.push_back(std::move(value)); }
  absl::StatusOr<SegmentSnapshot> Read(const SegmentSnapshot* known = nullptr) {
    return ReadSegment(
        [this](const GetOptions& options) -> absl::StatusOr<StoredValue> {
          asked.push_back(options);
          if (asked.size() > values_.size()) {
            return absl::UnavailableError("no more answers");
          }
          return values_[asked.size() - 1];
        },
        known);
  }

  std::vector<GetOptions> asked;

 private:
  std::vector<StoredValue> values_;
};

StoredValue Piece(const std::vector<ValuePart>& parts, size_t from, size_t to,
                  uint64_t version = 9) {
  return {.version = version,
          .parts = {parts.begin() + static_cast<ptrdiff_t>(from),
                    parts.begin() + static_cast<ptrdiff_t>(to)},
          .next_part = to < parts.size() ? parts[to].number : 0};
}

TEST(SegmentPartsTest, PutsTogetherWhatComesInPieces) {
  const std::vector<ValuePart> parts = Parts(Example());
  Answers answers;
  answers.Add(Piece(parts, 0, 1));
  answers.Add(Piece(parts, 1, 3, 10));
  answers.Add(Piece(parts, 3, 4, 11));
  // What changed during the reading is asked for again the next time.
  EXPECT_THAT(answers.Read(), IsOkAndHolds(SegmentSnapshot{Example(), 9}));
  ASSERT_EQ(answers.asked.size(), 3u);
  EXPECT_EQ(answers.asked[1].first_part, 1u);
  EXPECT_EQ(answers.asked[2].first_part, 6u);
}

TEST(SegmentPartsTest, BeginsAnewWhenTheSegmentChangesHands) {
  const std::vector<ValuePart> old_parts = Parts(Example(1));
  const std::vector<ValuePart> new_parts = Parts(Example(2));
  Answers answers;
  answers.Add(Piece(old_parts, 0, 2));
  answers.Add(Piece(new_parts, 2, 4));
  answers.Add(Piece(new_parts, 0, 4, 12));
  EXPECT_THAT(answers.Read(), IsOkAndHolds(SegmentSnapshot{Example(2), 12}));
}

TEST(SegmentPartsTest, GivesUpWhenThatGoesOn) {
  const std::vector<ValuePart> old_parts = Parts(Example(1));
  const std::vector<ValuePart> new_parts = Parts(Example(2));
  Answers answers;
  for (int i = 0; i < 100; ++i) {
    answers.Add(Piece(old_parts, 0, 2));
    answers.Add(Piece(new_parts, 2, 4));
  }
  EXPECT_THAT(answers.Read(), StatusIs(absl::StatusCode::kAborted));
  EXPECT_LT(answers.asked.size(), 20u);
}

TEST(SegmentPartsTest, ReadsChangesOntoWhatIsKnown) {
  const SegmentSnapshot known = {Example(), 9};
  SegmentDescriptor now = Example();
  now.version = 2;
  now.buffers.SetPage(5, nullptr);
  Answers answers;
  answers.Add({.version = 12,
               .parts = {{0, *now.SerializeHead()}, {6, ""}},
               .whole = false});
  EXPECT_THAT(answers.Read(&known), IsOkAndHolds(SegmentSnapshot{now, 12}));
  EXPECT_EQ(answers.asked[0].since, 9u);
}

// What takes several calls to publish is there, or is not.
TEST(SegmentPartsTest, HalfASegmentIsNone) {
  const std::vector<ValuePart> parts = Parts(Example());
  StoredValue half = Piece(parts, 0, 2);
  half.next_part = 0;
  Answers answers;
  for (int i = 0; i < 3; ++i) answers.Add(half);
  answers.Add(Piece(parts, 0, 4, 10));
  EXPECT_THAT(answers.Read(), IsOkAndHolds(SegmentSnapshot{Example(), 10}));
  Answers still_half;
  for (int i = 0; i < 100; ++i) still_half.Add(half);
  const SegmentSnapshot known = {Example(), 5};
  EXPECT_THAT(still_half.Read(&known), StatusIs(absl::StatusCode::kAborted,
                                                HasSubstr("being published")));
}

TEST(SegmentPartsTest, ForgetsWhatIsKnownOfAnotherIncarnation) {
  const SegmentSnapshot known = {Example(1), 9};
  Answers answers;
  answers.Add({.version = 12,
               .parts = {{0, *Example(2).SerializeHead()}},
               .whole = false});
  answers.Add(Piece(Parts(Example(2)), 0, 4, 12));
  EXPECT_THAT(answers.Read(&known),
              IsOkAndHolds(SegmentSnapshot{Example(2), 12}));
  EXPECT_EQ(answers.asked[1].since, 0u);
}

TEST(SegmentPartsTest, RefusesWhatIsNoSegment) {
  const std::vector<ValuePart> parts = Parts(Example());
  const std::string page = parts[1].bytes;
  const std::vector<std::pair<const char*, StoredValue>> bad = {
      {"no head", {.version = 1, .parts = {}}},
      {"no head", {.version = 1, .parts = {parts[1]}}},
      {"no page",
       {.version = 1, .parts = {parts[0], {BufferTable::kMaxPages + 1, page}}}},
      {"cannot follow",
       {.version = 1, .parts = {parts[0]}, .next_part = 1u << 31}},
  };
  for (const auto& [problem, value] : bad) {
    Answers answers;
    answers.Add(value);
    EXPECT_THAT(answers.Read(), StatusIs(absl::StatusCode::kInvalidArgument,
                                         HasSubstr(problem)));
  }
}

// A peer that always has more does not keep us for ever.
TEST(SegmentPartsTest, PartsOnlyGoForward) {
  const std::vector<ValuePart> parts = Parts(Example());
  Answers answers;
  StoredValue again = Piece(parts, 0, 1);
  again.next_part = 3;
  answers.Add(again);
  answers.Add(again);
  EXPECT_THAT(answers.Read(), StatusIs(absl::StatusCode::kInvalidArgument,
                                       HasSubstr("cannot follow")));
}

}  // namespace
}  // namespace te
