// Where namespaces and users keep processes apart, connecting says which of
// them does. Needs to be root, or at least unshare(1) to work.
#include <cstdint>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/child_process.h"
#include "te/base/status_matchers.h"

namespace te::shm {
namespace {

using testing::AllOf;
using testing::HasSubstr;

constexpr char kProgram[] = "te/transport/shm/peer";
constexpr uint32_t kNobody = 65534;

using Words = std::vector<std::string>;

Words Unshare(const Words& options) {
  Words argv = {"unshare"};
  argv.insert(argv.end(), options.begin(), options.end());
  return argv;
}

std::unique_ptr<ChildProcess> StartProgram(Words argv = {}) {
  argv.push_back(kProgram);
  auto process = ChildProcess::Start(argv);
  TE_EXPECT_OK(process);
  return process.ok() ? *std::move(process) : nullptr;
}

void Become(ChildProcess& process, uint32_t user) {
  ASSERT_THAT(process.Ask(absl::StrCat("become ", user)), IsOkAndHolds("ok"));
}

// Where to connect to, once, and what is there.
struct Offer {
  std::string socket;
  std::string token;
  std::string key;
  std::string address;
};

Offer Serve(ChildProcess& owner) {
  const auto said = owner.Ask("serve");
  TE_EXPECT_OK(said);
  Offer offer;
  std::istringstream words(said.value_or(""));
  EXPECT_TRUE(words >> offer.socket >> offer.token >> offer.key >>
              offer.address)
      << said.value_or("");
  return offer;
}

std::string Connect(ChildProcess& peer, const Offer& offer) {
  const auto said =
      peer.Ask(absl::StrCat("connect ", offer.socket, " ", offer.token));
  TE_EXPECT_OK(said);
  return said.value_or("");
}
std::string Pin(ChildProcess& peer, const Offer& offer) {
  const auto said =
      peer.Ask(absl::StrCat("pin ", offer.key, " ", offer.address));
  TE_EXPECT_OK(said);
  return said.value_or("");
}

// Without anything that keeps them apart, as a check of the test itself.
TEST(NamespaceTest, ProcessesOfOneUserAreNotKeptApart) {
  const auto owner = StartProgram();
  const auto peer = StartProgram();
  const Offer offer = Serve(*owner);
  EXPECT_EQ(Connect(*peer, offer), "ok");
  EXPECT_EQ(Pin(*peer, offer), "ok");
}

TEST(NamespaceTest, AnotherNetworkNamespaceHidesTheSocket) {
  const Words apart = Unshare({"--user", "--map-root-user", "--net"});
  const auto owner = StartProgram();
  const auto peer = StartProgram(apart);
  EXPECT_THAT(Connect(*peer, Serve(*owner)),
              AllOf(HasSubstr("UNAVAILABLE"), HasSubstr("network namespace")));
  // The other way round, too.
  const auto other_owner = StartProgram(apart);
  const auto other_peer = StartProgram();
  EXPECT_THAT(Connect(*other_peer, Serve(*other_owner)),
              HasSubstr("network namespace"));
}

TEST(NamespaceTest, AProcessOfAnotherUserNamespaceIsForbidden) {
  const auto owner = StartProgram();
  const auto peer = StartProgram(Unshare({"--user", "--map-root-user"}));
  EXPECT_THAT(Connect(*peer, Serve(*owner)),
              AllOf(HasSubstr("PERMISSION_DENIED"),
                    HasSubstr(absl::StrCat("process_vm_writev with process ",
                                           owner->pid())),
                    HasSubstr("CAP_SYS_PTRACE")));
}

TEST(NamespaceTest, AnOwnerThatThePidNamespaceDoesNotShowIsNotReached) {
  const auto owner = StartProgram();
  const auto peer = StartProgram(Unshare(
      {"--user", "--map-root-user", "--pid", "--fork", "--kill-child"}));
  EXPECT_THAT(
      Connect(*peer, Serve(*owner)),
      AllOf(HasSubstr("PERMISSION_DENIED"), HasSubstr("PID namespace")));
}

// The PID by which the owner knows itself is not the one by which the peer
// reaches it, and the owner does not see the peer at all.
TEST(NamespaceTest, AnOwnerInAPidNamespaceBelowIsReached) {
  const auto owner = StartProgram(Unshare({"--pid", "--fork", "--kill-child"}));
  const auto peer = StartProgram();
  const Offer offer = Serve(*owner);
  EXPECT_EQ(Connect(*peer, offer), "ok");
  EXPECT_EQ(Pin(*peer, offer), "ok");
  EXPECT_THAT(
      owner->Ask("revoke"),
      IsOkAndHolds(AllOf(HasSubstr("DEADLINE_EXCEEDED"),
                         HasSubstr("process of another PID namespace"))));
  EXPECT_THAT(peer->Ask("unpin"), IsOkAndHolds("ok"));
  EXPECT_THAT(owner->Ask("revoke"), IsOkAndHolds("ok"));
}

// Descriptors that are sent know no IPC namespace.
TEST(NamespaceTest, IpcAndMountNamespacesDoNotMatter) {
  const auto owner = StartProgram();
  const auto peer = StartProgram(Unshare({"--ipc", "--uts", "--mount"}));
  const Offer offer = Serve(*owner);
  EXPECT_EQ(Connect(*peer, offer), "ok");
  EXPECT_EQ(Pin(*peer, offer), "ok");
}

TEST(NamespaceTest, AnotherUserIsRefusedByTheOwner) {
  const auto owner = StartProgram();
  const auto peer = StartProgram();
  Become(*peer, kNobody);
  EXPECT_THAT(Connect(*peer, Serve(*owner)),
              AllOf(HasSubstr("UNAVAILABLE"), HasSubstr("another user")));
}

TEST(NamespaceTest, AnotherUserIsRefusedByThePeer) {
  const auto owner = StartProgram();
  const auto peer = StartProgram();
  Become(*owner, kNobody);
  Become(*peer, kNobody - 1);
  EXPECT_THAT(Connect(*peer, Serve(*owner)),
              AllOf(HasSubstr("UNAVAILABLE"), HasSubstr("another user")));
}

// Who has changed its user is not "dumpable" (prctl(2)), so that even the same
// user may not reach into it.
TEST(NamespaceTest, AProcessThatIsNotDumpableIsForbidden) {
  const auto owner = StartProgram();
  const auto peer = StartProgram();
  Become(*owner, kNobody);
  Become(*peer, kNobody);
  EXPECT_THAT(
      Connect(*peer, Serve(*owner)),
      AllOf(HasSubstr("PERMISSION_DENIED"), HasSubstr("PR_SET_DUMPABLE")));
}

}  // namespace
}  // namespace te::shm
