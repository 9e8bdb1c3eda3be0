#include "te/base/thread.h"

#include <pthread.h>
#include <sched.h>

#include <atomic>
#include <string>
#include <utility>

#include "gtest/gtest.h"
#include "te/base/status_matchers.h"

namespace te {
namespace {

using ::testing::HasSubstr;

TEST(ThreadTest, RunsUnderItsName) {
  std::string name(16, '\0');
  TE_ASSERT_OK_AND_ASSIGN(
      Thread thread, Thread::Start({.name = "te-test", .cpus = {}}, [&name] {
        pthread_getname_np(pthread_self(), name.data(), name.size());
      }));
  thread.Join();
  EXPECT_STREQ(name.c_str(), "te-test");
  EXPECT_FALSE(thread.joinable());
}

TEST(ThreadTest, RunsOnTheCpusNamed) {
  int cpu = sched_getcpu();
  ASSERT_GE(cpu, 0);
  cpu_set_t set;
  TE_ASSERT_OK_AND_ASSIGN(
      Thread thread, Thread::Start({.name = "te-test", .cpus = {cpu}}, [&set] {
        pthread_getaffinity_np(pthread_self(), sizeof(set), &set);
      }));
  thread.Join();
  EXPECT_EQ(CPU_COUNT(&set), 1);
  EXPECT_TRUE(CPU_ISSET(cpu, &set));
}

TEST(ThreadTest, DestructorAndAssignmentJoin) {
  std::atomic<int> finished = 0;
  {
    TE_ASSERT_OK_AND_ASSIGN(
        Thread first,
        Thread::Start({.name = "one", .cpus = {}}, [&] { ++finished; }));
    TE_ASSERT_OK_AND_ASSIGN(
        Thread second,
        Thread::Start({.name = "two", .cpus = {}}, [&] { ++finished; }));
    first = std::move(second);
    EXPECT_GE(finished, 1);
  }
  EXPECT_EQ(finished, 2);
}

TEST(ThreadTest, RefusesBadOptions) {
  EXPECT_THAT(Thread::Start({.name = "", .cpus = {}}, [] {}),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(Thread::Start({.name = "sixteen bytes ab", .cpus = {}}, [] {}),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("15")));
  EXPECT_THAT(
      Thread::Start({.name = "x", .cpus = {-1}}, [] {}),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("CPU -1")));
}

TEST(ThreadTest, ACpuThatDoesNotExistIsAnError) {
  EXPECT_THAT(
      Thread::Start({.name = "x", .cpus = {CPU_SETSIZE - 1}}, [] {}),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("EINVAL")));
}

}  // namespace
}  // namespace te
