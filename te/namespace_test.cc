// Protocol auto between engines that namespaces or users keep from sharing
// memory. Needs to be root, and unshare(1) to work.
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/child_process.h"
#include "te/base/status_matchers.h"
#include "te/testing/target_process.h"

namespace te {
namespace {

using testing::AllOf;
using testing::ContainsRegex;
using testing::HasSubstr;
using testing::Not;

using Words = std::vector<std::string>;

class NamespaceTest : public testing::Test {
 protected:
  void SetUp() override {
    TE_ASSERT_OK_AND_ASSIGN(target_,
                            TargetProcess::Start({"127.0.0.1", "65536"}));
    address_ = target_->address();
  }

  // What an initiator says, started by `launcher`.
  std::string Talk(const std::string& protocol, Words launcher,
                   const std::string& user = "") {
    Words& argv = launcher;
    for (const std::string& word :
         {std::string("te/testing/initiator"), protocol, target_->segment(),
          absl::StrCat(address_)}) {
      argv.push_back(word);
    }
    if (!user.empty()) argv.push_back(user);
    auto initiator = ChildProcess::Start(argv);
    TE_EXPECT_OK(initiator);
    if (!initiator.ok()) return "";
    auto said = (*initiator)->ReadLine();
    TE_EXPECT_OK(said);
    return said.value_or("");
  }

  // That auto goes on over TCP for that reason, and shm fails with it.
  void ExpectTcpInstead(const Words& launcher, const std::string& why,
                        const std::string& user = "") {
    EXPECT_THAT(Talk("auto", launcher, user),
                AllOf(ContainsRegex("^tcp .*, not shm: "), HasSubstr(why)));
    EXPECT_THAT(Talk("shm", launcher, user),
                AllOf(HasSubstr(target_->segment()), HasSubstr(why),
                      Not(HasSubstr("tcp"))));
  }

  // That memory of the target's engine is reached by shm, and other memory in
  // another way or not at all, as the protocol says, for that reason.
  void ExpectOnlyMapped(const Words& launcher, const std::string& why) {
    TE_ASSERT_OK_AND_ASSIGN(
        target_, TargetProcess::Start({"127.0.0.1", "65536", "allocated"}));
    TE_ASSERT_OK_AND_ASSIGN(const std::string other,
                            target_->Ask("register 65536"));
    const auto by_both =
        AllOf(ContainsRegex("^shm .*; else tcp .*, not shm: only memory"),
              HasSubstr(why));
    address_ = target_->address();
    EXPECT_THAT(Talk("auto", launcher), by_both);
    EXPECT_THAT(Talk("shm", launcher), ContainsRegex("^shm .*, not shm: only"));
    ASSERT_TRUE(absl::SimpleAtoi(other, &address_));
    EXPECT_THAT(Talk("auto", launcher), by_both);
    EXPECT_THAT(Talk("shm", launcher),
                AllOf(HasSubstr("AllocateMemory"), HasSubstr(why),
                      Not(HasSubstr("tcp"))));
  }

  std::unique_ptr<TargetProcess> target_;
  uint64_t address_ = 0;
};

// As a check of the test itself.
TEST_F(NamespaceTest, NothingKeepsProcessesOfOneUserApart) {
  EXPECT_THAT(Talk("auto", {}),
              ContainsRegex(
                  absl::StrCat("^shm .*process ", target_->pid(), ", not $")));
}

TEST_F(NamespaceTest, AnotherUserNamespace) {
  ExpectTcpInstead({"unshare", "--user", "--map-root-user"},
                   "the kernel forbids process_vm_readv");
}

TEST_F(NamespaceTest, APidNamespaceThatDoesNotShowTheTarget) {
  ExpectTcpInstead({"unshare", "--pid", "--fork", "--kill-child"},
                   "PID namespace");
}

TEST_F(NamespaceTest, MappingNeedsNoneOfThat) {
  ExpectOnlyMapped({"unshare", "--user", "--map-root-user"},
                   "the kernel forbids process_vm_readv");
  ExpectOnlyMapped({"unshare", "--pid", "--fork", "--kill-child"},
                   "PID namespace");
}

TEST_F(NamespaceTest, AnotherUser) {
  ExpectTcpInstead({}, "another user", /*user=*/"65534");
}

TEST_F(NamespaceTest, IpcAndMountNamespacesDoNotMatter) {
  EXPECT_THAT(Talk("auto", {"unshare", "--ipc", "--uts", "--mount"}),
              ContainsRegex("^shm .*, not $"));
}

}  // namespace
}  // namespace te
