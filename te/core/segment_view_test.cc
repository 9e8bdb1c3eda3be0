#include "te/core/segment_view.h"

#include <cstdint>
#include <memory>
#include <utility>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/status_matchers.h"
#include "te/metadata/segment_descriptor.h"
#include "te/transport/slice.h"

namespace te {
namespace {

using testing::HasSubstr;

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
  EXPECT_THAT(view.Find(Operation::kRead, 1060, 40), IsOkAndHolds(1u));
  EXPECT_THAT(view.Find(Operation::kWrite, 1060, 40), IsOkAndHolds(2u));
  EXPECT_THAT(view.Find(Operation::kWrite, 5000, 10), IsOkAndHolds(3u));

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

}  // namespace
}  // namespace te
