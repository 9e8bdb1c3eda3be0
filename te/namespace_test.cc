// Protocol auto between engines that namespaces or users keep from sharing
// memory. Needs to be root, and unshare(2) to work.
#include <grp.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <functional>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/status_macros.h"
#include "te/base/status_matchers.h"
#include "te/testing/target_process.h"
#include "te/transfer_engine.h"

namespace te {
namespace {

using testing::AllOf;
using testing::ContainsRegex;
using testing::ExitedWithCode;
using testing::HasSubstr;

constexpr Duration kEnough = std::chrono::seconds(60);
constexpr size_t kBytes = 1 << 20;

// Writes to the target, reads it back, and says over what.
absl::StatusOr<std::string> TalkTo(const TargetProcess& target,
                                   const std::string& protocol) {
  std::vector<std::byte> local(2 * kBytes, std::byte{0x5a});
  Options options;
  options.local_server_name = "127.0.0.1";
  options.protocol = protocol;
  TE_ASSIGN_OR_RETURN(const auto engine, CreateTransferEngine(options));
  TE_RETURN_IF_ERROR(
      engine->RegisterMemory({.address = local.data(), .length = local.size()})
          .status());
  TE_ASSIGN_OR_RETURN(const SegmentId segment,
                      engine->OpenSegment(target.segment(), kEnough));
  std::fill(local.begin() + kBytes, local.end(), std::byte{0});
  for (const auto operation : {Operation::kWrite, Operation::kRead}) {
    const bool write = operation == Operation::kWrite;
    const Request request = {.operation = operation,
                             .local = local.data() + (write ? 0 : kBytes),
                             .segment = segment,
                             .remote_address = target.address(),
                             .length = kBytes};
    TE_ASSIGN_OR_RETURN(Batch batch, engine->Submit({&request, 1}));
    if (!batch.Wait(DeadlineAfter(RealClock().Now(), kEnough))) {
      return absl::DeadlineExceededError("the batch hangs");
    }
    TE_RETURN_IF_ERROR(batch.status());
  }
  if (local.front() != local.back()) return absl::DataLossError("other bytes");
  const EngineStatus::Segment status = engine->Status().segments.at(0);
  return absl::StrCat(status.rail, ", not ",
                      absl::StrJoin(status.passed_over, "; "));
}

// Does it in a process of its own, after `leave`, and says the outcome there.
[[noreturn]] void LeaveAndTalk(const std::function<bool()>& leave,
                               const TargetProcess& target,
                               const std::string& protocol) {
  if (!leave()) {
    std::cerr << "cannot leave this namespace or user: errno " << errno;
    _exit(2);
  }
  const auto said = TalkTo(target, protocol);
  std::cerr << (said.ok() ? *said : said.status().ToString());
  _exit(said.ok() ? 0 : 1);
}

// The first process of a PID namespace is who is forked next.
bool EnterPidNamespace() {
  if (unshare(CLONE_NEWPID) != 0) return false;
  const pid_t child = fork();
  if (child <= 0) return child == 0;
  int status = 0;
  waitpid(child, &status, 0);
  _exit(WIFEXITED(status) ? WEXITSTATUS(status) : 3);
}

bool BecomeNobody() {
  constexpr uid_t kNobody = 65534;
  return setgroups(0, nullptr) == 0 && setgid(kNobody) == 0 &&
         setuid(kNobody) == 0;
}

class NamespaceTest : public testing::Test {
 protected:
  void SetUp() override {
    TE_ASSERT_OK_AND_ASSIGN(
        target_, TargetProcess::Start({"127.0.0.1", absl::StrCat(kBytes)}));
  }

  // That auto goes on over TCP for that reason, and shm fails with it.
  void ExpectTcpInstead(const std::function<bool()>& leave,
                        const std::string& why) {
    EXPECT_EXIT(LeaveAndTalk(leave, *target_, "auto"), ExitedWithCode(0),
                AllOf(ContainsRegex("tcp .*, not shm: "), HasSubstr(why)));
    EXPECT_EXIT(LeaveAndTalk(leave, *target_, "shm"), ExitedWithCode(1),
                AllOf(HasSubstr(target_->segment()), HasSubstr(why)));
  }

  std::unique_ptr<TargetProcess> target_;
};

// As a check of the test itself.
TEST_F(NamespaceTest, NothingKeepsProcessesOfOneUserApart) {
  EXPECT_EXIT(
      LeaveAndTalk([] { return true; }, *target_, "auto"), ExitedWithCode(0),
      ContainsRegex(absl::StrCat("shm .*process ", target_->pid(), ", not $")));
}

TEST_F(NamespaceTest, AnotherUserNamespace) {
  ExpectTcpInstead([] { return unshare(CLONE_NEWUSER) == 0; },
                   "the kernel forbids process_vm_readv");
}

TEST_F(NamespaceTest, APidNamespaceThatDoesNotShowTheTarget) {
  ExpectTcpInstead(EnterPidNamespace, "PID namespace");
}

TEST_F(NamespaceTest, AnotherUser) {
  ExpectTcpInstead(BecomeNobody, "another user");
}

TEST_F(NamespaceTest, AnotherIpcNamespaceDoesNotMatter) {
  EXPECT_EXIT(
      LeaveAndTalk([] { return unshare(CLONE_NEWIPC | CLONE_NEWUTS) == 0; },
                   *target_, "auto"),
      ExitedWithCode(0), ContainsRegex("shm .*, not $"));
}

}  // namespace
}  // namespace te
