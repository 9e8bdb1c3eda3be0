#include "te/bench/progress_line.h"

#include <fcntl.h>
#include <pty.h>
#include <unistd.h>

#include <chrono>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/unique_fd.h"

namespace te::bench {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

std::string ReadAvailable(int fd) {
  char bytes[512];
  const ssize_t count = read(fd, bytes, sizeof(bytes));
  return count > 0 ? std::string(bytes, count) : "";
}

TEST(ProgressLineTest, WritesOverItselfOnATerminal) {
  int ours = -1;
  int theirs = -1;
  ASSERT_EQ(openpty(&ours, &theirs, nullptr, nullptr, nullptr), 0);
  const UniqueFd reader(ours);
  const UniqueFd terminal(theirs);
  {
    ProgressLine line(terminal.get());
    line.Show("half");
    EXPECT_EQ(ReadAvailable(reader.get()), "\rhalf\x1b[K");
  }
  EXPECT_EQ(ReadAvailable(reader.get()), "\r\x1b[K");
}

TEST(ProgressLineTest, IsSilentElsewhere) {
  int fds[2];
  ASSERT_EQ(pipe2(fds, O_NONBLOCK), 0);
  const UniqueFd reader(fds[0]);
  const UniqueFd writer(fds[1]);
  ProgressLine line(writer.get());
  line.Show("half");
  line.Clear();
  EXPECT_EQ(ReadAvailable(reader.get()), "");
}

TEST(DescribeProgressTest, SaysWhatHowFarAndHowFast) {
  const Workload workload{.traffic = Traffic::kRead,
                          .block_size = 1 << 20,
                          .batch_size = 16,
                          .threads = 2};
  EXPECT_EQ(DescribeProgress(workload, 3'000'000'000, milliseconds(1500),
                             seconds(10), RateUnit(), 2),
            "read 1 MiB x 16, 2 threads: 1.5 of 10.0 s, 2.00 GB/s");
  EXPECT_THAT(
      DescribeProgress(workload, 0, Duration(0), seconds(10), RateUnit(), 2),
      testing::HasSubstr("0.0 of 10.0 s, 0.00 GB/s"));
}

}  // namespace
}  // namespace te::bench
