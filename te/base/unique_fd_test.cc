#include "te/base/unique_fd.h"

#include <fcntl.h>
#include <unistd.h>

#include <utility>

#include "gtest/gtest.h"

namespace te {
namespace {

bool IsOpen(int fd) { return fcntl(fd, F_GETFD) != -1; }

class UniqueFdTest : public testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(pipe(fds_), 0); }
  void TearDown() override { close(fds_[1]); }

  int fds_[2];
};

TEST_F(UniqueFdTest, ClosesAtTheEnd) {
  {
    UniqueFd fd(fds_[0]);
    EXPECT_TRUE(fd.valid());
    EXPECT_TRUE(IsOpen(fds_[0]));
  }
  EXPECT_FALSE(IsOpen(fds_[0]));
}

TEST_F(UniqueFdTest, MovesKeepItOpen) {
  UniqueFd first(fds_[0]);
  UniqueFd second(std::move(first));
  UniqueFd third;
  third = std::move(second);
  EXPECT_EQ(third.get(), fds_[0]);
  EXPECT_TRUE(IsOpen(fds_[0]));
}

TEST_F(UniqueFdTest, AssignmentClosesTheOldOne) {
  int other = dup(fds_[0]);
  UniqueFd fd(fds_[0]);
  fd = UniqueFd(other);
  EXPECT_FALSE(IsOpen(fds_[0]));
  EXPECT_TRUE(IsOpen(other));
}

TEST_F(UniqueFdTest, ReleaseGivesOwnershipAway) {
  UniqueFd fd(fds_[0]);
  UniqueFd again(fd.release());
  EXPECT_FALSE(fd.valid());
  EXPECT_EQ(again.get(), fds_[0]);
}

}  // namespace
}  // namespace te
