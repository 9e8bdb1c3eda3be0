#include "te/metadata/host_identity.h"

#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "te/base/status_matchers.h"

namespace te {
namespace {

using ::testing::HasSubstr;
using ::testing::UnitTest;

constexpr char kStat[] =
    "42 (a) (b) c) S 1 42 42 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 1 2";

class HostIdentityTest : public testing::Test {
 protected:
  HostIdentityTest() {
    proc_ = absl::StrCat(testing::TempDir(), "/",
                         UnitTest::GetInstance()->current_test_info()->name());
    std::filesystem::create_directories(proc_ + "/sys/kernel/random");
    std::filesystem::create_directories(proc_ + "/self/ns");
    Write("/sys/kernel/random/boot_id", "1a2b-3c4d\n");
    Write("/self/stat", kStat);
    Link("pid", "pid:[11]");
    Link("ipc", "ipc:[12]");
    Link("net", "net:[13]");
  }
  ~HostIdentityTest() override { std::filesystem::remove_all(proc_); }

  void Write(const std::string& path, const std::string& text) {
    std::ofstream(proc_ + path) << text;
  }
  void Link(const std::string& name, const std::string& target) {
    std::string path = proc_ + "/self/ns/" + name;
    std::filesystem::remove(path);
    std::filesystem::create_symlink(target, path);
  }

  std::string proc_;
};

TEST_F(HostIdentityTest, ReadsEveryField) {
  EXPECT_THAT(HostIdentity::ReadSelf(proc_),
              IsOkAndHolds(HostIdentity{.boot_id = "1a2b-3c4d",
                                        .pid_namespace = 11,
                                        .ipc_namespace = 12,
                                        .net_namespace = 13,
                                        .pid = 42,
                                        .process_start_time = 987654}));
}

TEST_F(HostIdentityTest, WhatTheSystemDoesNotOfferStaysUnknown) {
  std::filesystem::remove_all(proc_ + "/self/ns");
  std::filesystem::remove_all(proc_ + "/sys");
  TE_ASSERT_OK_AND_ASSIGN(HostIdentity identity, HostIdentity::ReadSelf(proc_));
  EXPECT_EQ(identity.boot_id, "");
  EXPECT_EQ(identity.ipc_namespace, 0u);
  EXPECT_FALSE(identity.IsOnSameHostAs(identity));
}

TEST_F(HostIdentityTest, NamesTheFileItCannotUnderstand) {
  for (const char* text : {"", "42", "42 (a) S 1 2",
                           "x (a) S 1 42 42 0 -1 4 1 "
                           "2 3 4 5 6 7 8 20 0 1 0 987654 1 2"}) {
    Write("/self/stat", text);
    EXPECT_THAT(HostIdentity::ReadSelf(proc_),
                StatusIs(absl::StatusCode::kInternal, HasSubstr("/self/stat")));
  }
  Write("/self/stat", kStat);
  Link("net", "net:13");
  EXPECT_THAT(HostIdentity::ReadSelf(proc_),
              StatusIs(absl::StatusCode::kInternal, HasSubstr("ns/net")));
}

TEST_F(HostIdentityTest, AMissingProcIsAnError) {
  EXPECT_THAT(HostIdentity::ReadSelf(proc_ + "/nonesuch"),
              StatusIs(absl::StatusCode::kNotFound, HasSubstr("nonesuch")));
}

TEST_F(HostIdentityTest, ReadsTheRealSystem) {
  TE_ASSERT_OK_AND_ASSIGN(HostIdentity identity,
                          HostIdentity::ReadSelf("/proc"));
  EXPECT_EQ(identity.pid, static_cast<uint64_t>(getpid()));
  EXPECT_THAT(HostIdentity::ReadSelf("/proc"), IsOkAndHolds(identity));
}

TEST(HostIdentityOfProcessesTest, TellsWhoIsGone) {
  TE_ASSERT_OK_AND_ASSIGN(const HostIdentity self,
                          HostIdentity::ReadSelf("/proc"));
  EXPECT_FALSE(self.IsGone(self));
  HostIdentity earlier = self;
  --earlier.process_start_time;
  EXPECT_TRUE(earlier.IsGone(self));

  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) _exit(0);
  HostIdentity dead = self;
  dead.pid = static_cast<uint64_t>(child);
  siginfo_t info;
  // Still there, as a zombie with a start time of its own.
  ASSERT_EQ(waitid(P_PID, static_cast<id_t>(child), &info, WEXITED | WNOWAIT),
            0);
  EXPECT_TRUE(dead.IsGone(self));
  ASSERT_EQ(waitpid(child, nullptr, 0), child);
  EXPECT_TRUE(dead.IsGone(self));

  // Of others nothing can be said.
  HostIdentity stranger = dead;
  stranger.boot_id = "another";
  EXPECT_FALSE(stranger.IsGone(self));
  stranger.boot_id = "";
  EXPECT_FALSE(stranger.IsGone(self));
  stranger = dead;
  ++stranger.pid_namespace;
  EXPECT_FALSE(stranger.IsGone(self));
}

}  // namespace
}  // namespace te
