#include "te/metadata/server/snapshot.h"

#include <chrono>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/status_matchers.h"
#include "te/metadata/in_process_store.h"
#include "te/metadata/value_part.h"

namespace te::metadata_server {
namespace {

using ::testing::HasSubstr;

StoreContents Contents() {
  return {.entries =
              {{.key = "a",
                .version = 4,
                .replaced = 2,
                .parts = {{.part = {.number = 0, .bytes = "1"}, .version = 2},
                          {.part = {.number = 7, .bytes = ""}, .version = 4}}},
               {.key = std::string("b\0\xff", 3),
                .version = 7,
                .replaced = 7,
                .lease = std::chrono::seconds(30)}},
          .last_version = 9};
}

class SnapshotTest : public testing::Test {
 protected:
  SnapshotTest() : path_(absl::StrCat(testing::TempDir(), "/snapshot")) {
    std::filesystem::remove_all(path_);
  }

  std::string Bytes() const {
    std::ifstream file(path_, std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  void Write(const std::string& bytes) const {
    std::ofstream(path_, std::ios::binary) << bytes;
  }

  const std::string path_;
};

TEST_F(SnapshotTest, ReadsWhatWasWritten) {
  TE_ASSERT_OK(WriteSnapshot(path_, {}));
  EXPECT_THAT(ReadSnapshot(path_), IsOkAndHolds(StoreContents{}));
  TE_ASSERT_OK(WriteSnapshot(path_, Contents()));
  EXPECT_THAT(ReadSnapshot(path_), IsOkAndHolds(Contents()));
  EXPECT_FALSE(std::filesystem::exists(path_ + ".new"));
}

TEST_F(SnapshotTest, AnAbsentFileIsNotFound) {
  EXPECT_THAT(ReadSnapshot(path_), StatusIs(absl::StatusCode::kNotFound));
}

TEST_F(SnapshotTest, EachDamagedByteIsNoticed) {
  TE_ASSERT_OK(WriteSnapshot(path_, Contents()));
  const std::string good = Bytes();
  for (size_t i = 0; i < good.size(); ++i) {
    std::string bad = good;
    bad[i] ^= 1;
    Write(bad);
    EXPECT_THAT(ReadSnapshot(path_).status().code(),
                testing::AnyOf(absl::StatusCode::kDataLoss,
                               absl::StatusCode::kUnimplemented))
        << i;
    Write(good.substr(0, i));
    EXPECT_FALSE(ReadSnapshot(path_).ok()) << i;
  }
}

// Which the fuzz test begins with.
TEST_F(SnapshotTest, TheExamplesAreGood) {
  for (const char* name : {"empty", "parts", "target"}) {
    const absl::StatusOr<StoreContents> contents = ReadSnapshot(
        absl::StrCat("te/metadata/server/testdata/snapshot/", name));
    TE_ASSERT_OK(contents) << name;
    InProcessStore store;
    TE_EXPECT_OK(store.Import(*contents)) << name;
    EXPECT_EQ(store.Export().entries, contents->entries) << name;
  }
}

TEST_F(SnapshotTest, ANewerFormatIsNamed) {
  Write("te-metadata-snapshot 2 whatever");
  EXPECT_THAT(ReadSnapshot(path_), StatusIs(absl::StatusCode::kUnimplemented,
                                            HasSubstr("newer format")));
}

TEST_F(SnapshotTest, AFailedWriteLeavesTheOldOne) {
  TE_ASSERT_OK(WriteSnapshot(path_, Contents()));
  std::filesystem::create_directory(path_ + ".new");
  EXPECT_THAT(WriteSnapshot(path_, {}).message(), HasSubstr(path_ + ".new"));
  std::filesystem::remove(path_ + ".new");
  EXPECT_THAT(ReadSnapshot(path_), IsOkAndHolds(Contents()));
}

}  // namespace
}  // namespace te::metadata_server
