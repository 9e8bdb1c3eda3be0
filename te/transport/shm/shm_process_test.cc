// Owners and peers in processes of their own, which are stopped, killed and
// replaced.
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <memory>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/child_process.h"
#include "te/base/clock.h"
#include "te/base/incarnation.h"
#include "te/base/status_matchers.h"
#include "te/base/thread.h"
#include "te/transport/local_memory.h"
#include "te/transport/recording_sink.h"
#include "te/transport/shm/copy_pools.h"
#include "te/transport/shm/grants.h"
#include "te/transport/shm/hello.h"
#include "te/transport/shm/peer_link.h"
#include "te/transport/shm/shm_rail.h"
#include "te/transport/shm/shm_server.h"
#include "te/transport/slice.h"

namespace te::shm {
namespace {

using absl::StatusCode;
using std::chrono::milliseconds;
using std::chrono::seconds;
using testing::AllOf;
using testing::HasSubstr;

constexpr char kProgram[] = "te/transport/shm/peer";
constexpr uint32_t kSlots = 8;
constexpr uint32_t kSlot = 5;

MonotonicTime Soon() { return DeadlineAfter(RealClock().Now(), seconds(60)); }
MonotonicTime AtOnce() {
  return DeadlineAfter(RealClock().Now(), milliseconds(20));
}

std::unique_ptr<ChildProcess> StartProgram() {
  auto process = ChildProcess::Start({kProgram});
  TE_EXPECT_OK(process);
  return process.ok() ? *std::move(process) : nullptr;
}

// The memory is this process's.
class StubbornPeerTest : public testing::Test {
 protected:
  void SetUp() override {
    TE_ASSERT_OK_AND_ASSIGN(server_, ShmServer::Create({}, kSlots));
    key_ = server_->Grant({.slot = kSlot,
                           .address = memory_.data(),
                           .length = memory_.size(),
                           .remote_read = true});
  }

  static ShmServer::Client Client(uint64_t rail_id) {
    return {.incarnation = Incarnation({1}), .rail_id = rail_id};
  }
  std::string Pin() const {
    return absl::StrCat("pin ", absl::BytesToHexString(key_.Serialize()), " ",
                        reinterpret_cast<uint64_t>(memory_.data()));
  }

  std::unique_ptr<ChildProcess> Connected(uint64_t rail_id) {
    auto peer = StartProgram();
    auto token = server_->Promise(Client(rail_id), Soon());
    TE_EXPECT_OK(token);
    const std::string digits = absl::BytesToHexString(
        {reinterpret_cast<const char*>(token->data()), token->size()});
    EXPECT_THAT(peer->Ask(absl::StrCat("connect ", server_->socket_name(), " ",
                                       digits)),
                IsOkAndHolds("ok"));
    return peer;
  }
  // A peer that has stopped in the middle of an access.
  std::unique_ptr<ChildProcess> Stopped(uint64_t rail_id) {
    auto peer = Connected(rail_id);
    EXPECT_THAT(peer->Ask(Pin()), IsOkAndHolds("ok"));
    peer->Stop();
    return peer;
  }

  std::vector<std::byte> memory_ = std::vector<std::byte>(4096);
  GrantKey key_;
  std::unique_ptr<ShmServer> server_;
};

TEST_F(StubbornPeerTest, RevokeNamesItAndWaitsUntilItHasUnpinned) {
  const auto peer = Stopped(1);
  for (int i = 0; i < 2; ++i) {
    EXPECT_THAT(server_->Revoke(kSlot, AtOnce()),
                StatusIs(StatusCode::kDeadlineExceeded,
                         AllOf(HasSubstr(absl::StrCat("process ", peer->pid())),
                               HasSubstr("stopped"))));
  }
  peer->Continue();
  // It is still in the middle of it.
  EXPECT_THAT(server_->Revoke(kSlot, AtOnce()),
              StatusIs(StatusCode::kDeadlineExceeded));
  EXPECT_THAT(peer->Ask("unpin"), IsOkAndHolds("ok"));
  TE_EXPECT_OK(server_->Revoke(kSlot, RealClock().Now()));
  EXPECT_THAT(peer->Ask(Pin()), IsOkAndHolds(HasSubstr("NOT_FOUND")));
}

TEST_F(StubbornPeerTest, RevokeEndsWhenItIsKilled) {
  const auto peer = Stopped(1);
  absl::Status status;
  TE_ASSERT_OK_AND_ASSIGN(Thread revoker,
                          Thread::Start({.name = "revoker"}, [&] {
                            status = server_->Revoke(kSlot, Soon());
                          }));
  peer->Kill();
  revoker.Join();
  TE_EXPECT_OK(status);
}

TEST_F(StubbornPeerTest, RevokeNamesAllOfThem) {
  const auto first = Stopped(1);
  const auto second = Stopped(2);
  const auto idle = Connected(3);
  EXPECT_THAT(
      server_->Revoke(kSlot, AtOnce()),
      StatusIs(StatusCode::kDeadlineExceeded,
               AllOf(HasSubstr(absl::StrCat(first->pid())),
                     HasSubstr(absl::StrCat(second->pid())),
                     testing::Not(HasSubstr(absl::StrCat(idle->pid()))))));
  first->Kill();
  second->Kill();
  TE_EXPECT_OK(server_->Revoke(kSlot, Soon()));
}

TEST_F(StubbornPeerTest, DisconnectingDoesNotForgetIt) {
  const auto peer = Stopped(1);
  const auto idle = Connected(2);
  const MonotonicTime begin = RealClock().Now();
  server_->DisconnectPeers();
  EXPECT_LT(RealClock().Now() - begin, seconds(20));
  EXPECT_THAT(idle->Ask(Pin()), IsOkAndHolds(HasSubstr("UNAVAILABLE")));
  EXPECT_THAT(server_->Revoke(kSlot, AtOnce()),
              StatusIs(StatusCode::kDeadlineExceeded,
                       HasSubstr(absl::StrCat(peer->pid()))));
  peer->Continue();
  EXPECT_THAT(peer->Ask("unpin"), IsOkAndHolds("ok"));
  TE_EXPECT_OK(server_->Revoke(kSlot, Soon()));
  EXPECT_THAT(peer->Ask(Pin()), IsOkAndHolds(HasSubstr("UNAVAILABLE")));
  // Now there is nobody left.
  server_->DisconnectPeers();
  EXPECT_THAT(Connected(1)->Ask(Pin()), IsOkAndHolds(HasSubstr("NOT_FOUND")));
}

TEST_F(StubbornPeerTest, ItKeepsItsClientFromConnectingAnewUntilItEnds) {
  const auto peer = Stopped(1);
  EXPECT_THAT(server_->Promise(Client(1), AtOnce()),
              StatusIs(StatusCode::kAborted));
  // Others do not mind.
  TE_EXPECT_OK(server_->Promise(Client(2), Soon()));
  peer->Kill();
  TE_EXPECT_OK(server_->Promise(Client(1), Soon()));
}

TEST_F(StubbornPeerTest, TheEndOfTheServerIsBounded) {
  const auto peer = Stopped(1);
  const MonotonicTime begin = RealClock().Now();
  server_.reset();
  EXPECT_LT(RealClock().Now() - begin, seconds(20));
}

// The memory is the other process's.
class OwnerTest : public testing::Test {
 protected:
  void SetUp() override {
    owner_ = StartProgram();
    TE_ASSERT_OK_AND_ASSIGN(const std::string said, owner_->Ask("serve"));
    std::istringstream words(said);
    std::string socket, digits, key;
    ASSERT_TRUE(words >> socket >> digits >> key >> address_) << said;
    key_ = absl::HexStringToBytes(key);
    const std::string bytes = absl::HexStringToBytes(digits);
    Token token;
    ASSERT_EQ(bytes.size(), token.size());
    memcpy(token.data(), bytes.data(), token.size());
    TE_ASSERT_OK_AND_ASSIGN(pools_, CopyPools::Create(1, {}));
    TE_ASSERT_OK_AND_ASSIGN(auto link,
                            PeerLink::Connect({}, socket, token, Soon()));
    link_ = link.get();
    rail_ = std::make_shared<ShmRail>("rail", std::move(link),
                                      /*inline_bytes=*/1 << 20, *pools_);
  }
  void TearDown() override {
    if (rail_ != nullptr) rail_->Close(absl::CancelledError("over"));
  }

  absl::Status Transfer(Operation operation) {
    RecordingSink sink(1);
    Slice slice;
    slice.operation = operation;
    slice.local = local_.data();
    slice.remote_address = address_;
    slice.remote_key = key_;
    slice.length = static_cast<uint32_t>(local_.size());
    slice.sink = &sink;
    Slice* const posted = &slice;
    rail_->Post({&posted, 1});
    EXPECT_TRUE(sink.Wait(Soon()));
    return sink.status();
  }

  std::unique_ptr<ChildProcess> owner_;
  uint64_t address_ = 0;
  std::string key_;
  std::vector<std::byte> local_ = std::vector<std::byte>(4096, std::byte{7});
  std::unique_ptr<CopyPools> pools_;
  std::shared_ptr<ShmRail> rail_;
  const PeerLink* link_ = nullptr;
};

TEST_F(OwnerTest, IsReachedByTheKernelUntilItIsKilled) {
  ASSERT_NE(link_->process(), nullptr);
  TE_EXPECT_OK(Transfer(Operation::kWrite));
  local_.assign(local_.size(), std::byte{0});
  owner_->Stop();
  TE_EXPECT_OK(Transfer(Operation::kRead));
  EXPECT_EQ(local_, std::vector<std::byte>(local_.size(), std::byte{7}));
  TE_EXPECT_OK(rail_->health());
  owner_->Kill();
  EXPECT_TRUE(link_->IsGone());
  EXPECT_THAT(rail_->health(), StatusIs(StatusCode::kUnavailable));
  for (const auto operation : {Operation::kRead, Operation::kWrite}) {
    EXPECT_THAT(Transfer(operation), StatusIs(StatusCode::kUnavailable));
  }
}

// execve(2) keeps the PID, and what has been granted is the memory of an image
// that is no more.
TEST_F(OwnerTest, AnotherProgramInItsProcessIsNotTouched) {
  TE_EXPECT_OK(Transfer(Operation::kWrite));
  EXPECT_THAT(owner_->Ask("exec"), IsOkAndHolds("again"));
  EXPECT_TRUE(link_->IsGone());
  for (const auto operation : {Operation::kWrite, Operation::kRead}) {
    EXPECT_THAT(Transfer(operation), StatusIs(StatusCode::kUnavailable));
  }
}

}  // namespace
}  // namespace te::shm
