#include "te/metadata/server/snapshot_keeper.h"

#include <chrono>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/status_matchers.h"
#include "te/metadata/in_process_store.h"

namespace te::metadata_server {
namespace {

using ::testing::AllOf;
using ::testing::Gt;
using ::testing::HasSubstr;

class SnapshotKeeperTest : public testing::Test {
 protected:
  SnapshotKeeperTest() : path_(absl::StrCat(testing::TempDir(), "/kept")) {
    std::filesystem::remove_all(path_);
  }

  const std::string path_;
};

TEST_F(SnapshotKeeperTest, TheNextServerGoesOnWhereThisOneEnded) {
  InProcessStore first;
  TE_ASSERT_OK_AND_ASSIGN(auto keeper, SnapshotKeeper::Create(first, path_));
  TE_ASSERT_OK(first.Put("a", {{0, "1"}}, {}, kNoDeadline));
  TE_ASSERT_OK_AND_ASSIGN(
      const uint64_t version,
      first.Put("b", {{0, "2"}}, {.lease = std::chrono::seconds(30)},
                kNoDeadline));
  TE_ASSERT_OK_AND_ASSIGN(const uint64_t gone,
                          first.Put("c", {{0, "3"}}, {}, kNoDeadline));
  TE_ASSERT_OK(first.Remove("c", std::nullopt, kNoDeadline));
  TE_ASSERT_OK(keeper->Save());
  keeper.reset();

  InProcessStore second;
  TE_ASSERT_OK(SnapshotKeeper::Create(second, path_).status());
  EXPECT_EQ(second.Export().entries, first.Export().entries);
  // Leases are renewed as if nothing had happened, and versions grow on.
  TE_EXPECT_OK(
      second.Renew("b", version, std::chrono::seconds(30), kNoDeadline));
  EXPECT_THAT(second.Put("c", {{0, "4"}}, {}, kNoDeadline),
              IsOkAndHolds(Gt(gone)));
}

TEST_F(SnapshotKeeperTest, AFileIsForOneAtATime) {
  InProcessStore first, second;
  TE_ASSERT_OK_AND_ASSIGN(auto keeper, SnapshotKeeper::Create(first, path_));
  EXPECT_THAT(SnapshotKeeper::Create(second, path_),
              StatusIs(absl::StatusCode::kFailedPrecondition,
                       HasSubstr("another process")));
  keeper.reset();
  TE_EXPECT_OK(SnapshotKeeper::Create(second, path_));
}

TEST_F(SnapshotKeeperTest, DevicesAreNotRead) {
  InProcessStore store;
  std::filesystem::create_symlink("/dev/zero", path_);
  EXPECT_THAT(
      SnapshotKeeper::Create(store, path_),
      StatusIs(absl::StatusCode::kDataLoss, HasSubstr("no regular file")));
}

TEST_F(SnapshotKeeperTest, WritesNothingWhenNothingHasChanged) {
  InProcessStore store;
  TE_ASSERT_OK_AND_ASSIGN(const auto keeper,
                          SnapshotKeeper::Create(store, path_));
  std::filesystem::remove(path_);
  TE_EXPECT_OK(keeper->Save());
  EXPECT_FALSE(std::filesystem::exists(path_));
  TE_ASSERT_OK(store.Put("a", {{0, "1"}}, {}, kNoDeadline));
  TE_EXPECT_OK(keeper->Save());
  EXPECT_TRUE(std::filesystem::exists(path_));
}

TEST_F(SnapshotKeeperTest, ADamagedFileIsNotOverwritten) {
  std::ofstream(path_) << "something else";
  InProcessStore store;
  EXPECT_THAT(SnapshotKeeper::Create(store, path_),
              StatusIs(absl::StatusCode::kDataLoss,
                       AllOf(HasSubstr(path_), HasSubstr("move it away"))));
  EXPECT_EQ(std::filesystem::file_size(path_), 14u);
}

TEST_F(SnapshotKeeperTest, APlaceThatCannotBeWrittenToShowsAtOnce) {
  InProcessStore store;
  EXPECT_THAT(
      SnapshotKeeper::Create(store, "/nonesuch/kept"),
      StatusIs(absl::StatusCode::kNotFound, HasSubstr("/nonesuch/kept.lock")));
}

}  // namespace
}  // namespace te::metadata_server
