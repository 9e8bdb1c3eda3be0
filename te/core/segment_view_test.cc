#include "te/core/segment_view.h"

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/status_matchers.h"
#include "te/metadata/buffer_table.h"
#include "te/metadata/segment_descriptor.h"
#include "te/transport/slice.h"

namespace te {
namespace {

using testing::HasSubstr;

MATCHER_P(HasGeneration, generation, "") {
  return arg->generation == static_cast<uint64_t>(generation);
}

TEST(SegmentViewTest, FindsABufferThatAllowsIt) {
  SegmentDescriptor descriptor;
  descriptor.name = "peer";
  descriptor.buffers = {
      {.address = 1000, .length = 100, .remote_read = true, .generation = 1},
      {.address = 1050, .length = 100, .remote_write = true, .generation = 2},
      {.address = 5000,
       .length = 10,
       .remote_read = true,
       .remote_write = true,
       .generation = 3},
      {.address = 6000, .length = 10, .generation = 4}};
  const SegmentView view(
      std::make_shared<const SegmentDescriptor>(std::move(descriptor)));

  // Where two overlap, the one that allows it.
  EXPECT_THAT(view.Find(Operation::kRead, 1060, 40),
              IsOkAndHolds(HasGeneration(1u)));
  EXPECT_THAT(view.Find(Operation::kWrite, 1060, 40),
              IsOkAndHolds(HasGeneration(2u)));
  EXPECT_THAT(view.Find(Operation::kWrite, 5000, 10),
              IsOkAndHolds(HasGeneration(3u)));

  EXPECT_THAT(
      view.Find(Operation::kWrite, 1000, 1),
      StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("remote WRITE")));
  EXPECT_THAT(
      view.Find(Operation::kRead, 6000, 1),
      StatusIs(absl::StatusCode::kPermissionDenied, HasSubstr("remote READ")));
  for (const auto& [address, length] : {std::pair<uint64_t, uint64_t>{999, 2},
                                        {1000, 150},  // in none alone
                                        {5000, 11},
                                        {5009, UINT64_MAX},
                                        {UINT64_MAX, 1},
                                        {0, 1}}) {
    EXPECT_THAT(
        view.Find(Operation::kRead, address, length),
        StatusIs(absl::StatusCode::kOutOfRange, HasSubstr("segment peer")));
  }
}

TEST(SegmentViewTest, TakesOverWhatHasNotChanged) {
  const auto page = [](std::vector<BufferDescriptor> buffers) {
    return std::make_shared<const BufferTable::Page>(std::move(buffers));
  };
  auto first = std::make_shared<SegmentDescriptor>();
  first->buffers.SetPage(
      0,
      page(
          {{.address = 300, .length = 10, .remote_read = true, .generation = 1},
           {.address = 100,
            .length = 90,
            .remote_read = true,
            .generation = 2}}));
  first->buffers.SetPage(1, page({{.address = 200,
                                   .length = 10,
                                   .remote_read = true,
                                   .generation = 3}}));
  first->buffers.SetPage(4, page({{.address = 400,
                                   .length = 10,
                                   .remote_read = true,
                                   .generation = 4}}));
  auto before = std::make_unique<SegmentView>(first);

  auto second = std::make_shared<SegmentDescriptor>(*first);
  second->buffers.SetPage(
      1,
      page(
          {{.address = 350, .length = 10, .remote_read = true, .generation = 5},
           {.address = 50,
            .length = 10,
            .remote_read = true,
            .generation = 6}}));
  second->buffers.SetPage(4, nullptr);
  const SegmentView after(second, before.get());
  // What is kept must not depend on the other view.
  before.reset();
  first.reset();
  const std::pair<uint64_t, uint64_t> found[] = {
      {300, 1}, {100, 2}, {350, 5}, {50, 6}};
  for (const auto& [address, generation] : found) {
    EXPECT_THAT(after.Find(Operation::kRead, address, 10),
                IsOkAndHolds(HasGeneration(generation)));
  }
  for (const uint64_t address : {200, 400}) {
    EXPECT_THAT(after.Find(Operation::kRead, address, 10),
                StatusIs(absl::StatusCode::kOutOfRange));
  }
}

}  // namespace
}  // namespace te
