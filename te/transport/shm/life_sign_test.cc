#include "te/transport/shm/life_sign.h"

#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <functional>
#include <latch>

#include "gtest/gtest.h"
#include "te/base/status_matchers.h"
#include "te/base/thread.h"

namespace te::shm {
namespace {

class LifeSignTest : public testing::Test {
 protected:
  void SetUp() override {
    memory_ = static_cast<std::byte*>(mmap(nullptr, LifeSign::kBytes,
                                           PROT_READ | PROT_WRITE,
                                           MAP_SHARED | MAP_ANONYMOUS, -1, 0));
    ASSERT_NE(memory_, MAP_FAILED);
  }
  void TearDown() override { munmap(memory_, LifeSign::kBytes); }

  // A process that has given the sign, then does `what`, and never ends by
  // itself.
  pid_t Start(const std::function<void()>& what) {
    int ends[2];
    EXPECT_EQ(pipe(ends), 0);
    const pid_t child = fork();
    if (child == 0) {
      LifeSign::Give(memory_);
      if (write(ends[1], "!", 1) != 1) _exit(1);
      what();
      for (;;) pause();
    }
    char byte;
    EXPECT_EQ(read(ends[0], &byte, 1), 1);
    close(ends[0]);
    close(ends[1]);
    return child;
  }
  static void Await(pid_t child) {
    EXPECT_EQ(waitpid(child, nullptr, 0), child);
  }

  std::byte* memory_ = nullptr;
};

TEST_F(LifeSignTest, AThreadThatEndsIsSeen) {
  EXPECT_FALSE(LifeSign::IsOver(memory_)) << "before it has begun";
  std::latch given(1);
  std::latch may_end(1);
  TE_ASSERT_OK_AND_ASSIGN(Thread thread, Thread::Start({.name = "life"}, [&] {
                            LifeSign::Give(memory_);
                            given.count_down();
                            may_end.wait();
                          }));
  given.wait();
  EXPECT_FALSE(LifeSign::IsOver(memory_));
  may_end.count_down();
  thread.Join();
  EXPECT_TRUE(LifeSign::IsOver(memory_));
}

// At the latest when the process can be waited for, however it has ended.
TEST_F(LifeSignTest, AProcessThatIsKilledIsSeen) {
  for (int i = 0; i < 50; ++i) {
    const pid_t child = Start([] {});
    ASSERT_FALSE(LifeSign::IsOver(memory_));
    kill(child, SIGKILL);
    Await(child);
    ASSERT_TRUE(LifeSign::IsOver(memory_));
    TearDown();
    SetUp();
  }
}

TEST_F(LifeSignTest, AnotherProgramIsAnotherLife) {
  const pid_t child =
      Start([] { execl("/bin/sleep", "sleep", "1000", nullptr); });
  while (!LifeSign::IsOver(memory_)) {
    ASSERT_EQ(waitpid(child, nullptr, WNOHANG), 0);
  }
  EXPECT_EQ(kill(child, 0), 0) << "the process itself lives on";
  kill(child, SIGKILL);
  Await(child);
}

}  // namespace
}  // namespace te::shm
