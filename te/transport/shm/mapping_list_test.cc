#include "te/transport/shm/mapping_list.h"

#include <sys/socket.h>
#include <sys/stat.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/status_macros.h"
#include "te/base/status_matchers.h"
#include "te/base/unique_fd.h"
#include "te/transport/local_memory.h"
#include "te/transport/mappable_bytes.h"
#include "te/transport/shm/hello.h"
#include "te/transport/shm/mapping_id.h"
#include "te/transport/shm/unix_socket.h"

namespace te::shm {
namespace {

class MappingListTest : public testing::Test {
 protected:
  void SetUp() override {
    std::array<int, 2> ends;
    ASSERT_EQ(
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_NONBLOCK, 0, ends.data()), 0);
    owner_ = UniqueFd(ends[0]);
    const int bytes = 8 << 10;
    ASSERT_EQ(
        setsockopt(owner_.get(), SOL_SOCKET, SO_SNDBUF, &bytes, sizeof(bytes)),
        0);
    peer_ = UniqueFd(ends[1]);
  }

  LocalMemory Memory(uint32_t slot) const {
    return {.slot = slot,
            .address = bytes_.data(),
            .length = bytes_.size(),
            .remote_read = true,
            .fd = bytes_.fd()};
  }
  struct Heard {
    MappingNotice notice;
    UniqueFd fd;
  };
  absl::StatusOr<Heard> Hear() {
    Heard heard;
    TE_ASSIGN_OR_RETURN(
        Message message,
        ReceiveMessage(peer_.get(), BytesOf(heard.notice), MonotonicTime()));
    EXPECT_EQ(message.bytes, sizeof(MappingNotice));
    if (!message.fds.empty()) heard.fd = std::move(message.fds[0]);
    return heard;
  }

  const MappableBytes bytes_ = MappableBytes(4096);
  UniqueFd owner_;
  UniqueFd peer_;
  MappingList list_;
};

TEST_F(MappingListTest, APeerIsToldOfWhatComesAndGoes) {
  const MappingId id = list_.Add(Memory(5));
  EXPECT_TRUE(id.valid());
  MappingList::Untold untold = list_.All();
  EXPECT_EQ(untold, (MappingList::Untold{id.index, kMaxMappings}));
  EXPECT_FALSE(list_.Tell(owner_.get(), untold));
  EXPECT_TRUE(untold.empty());
  TE_ASSERT_OK_AND_ASSIGN(const Heard come, Hear());
  EXPECT_EQ(come.notice.mapping, id);
  EXPECT_EQ(come.notice.writable, 0u);
  struct stat ours = {};
  struct stat theirs = {};
  ASSERT_EQ(fstat(bytes_.fd(), &ours), 0);
  ASSERT_EQ(fstat(come.fd.get(), &theirs), 0);
  EXPECT_EQ(theirs.st_ino, ours.st_ino);
  TE_ASSERT_OK_AND_ASSIGN(const Heard end, Hear());
  EXPECT_EQ(end.notice.mapping, (MappingId{.index = kMaxMappings}));
  EXPECT_FALSE(end.fd.valid());

  EXPECT_FALSE(list_.Remove(4).valid());
  EXPECT_EQ(list_.Remove(5), id);
  EXPECT_FALSE(list_.Remove(5).valid());
  untold = {id.index};
  list_.Tell(owner_.get(), untold);
  TE_ASSERT_OK_AND_ASSIGN(const Heard gone, Hear());
  EXPECT_EQ(gone.notice.mapping, (MappingId{.index = id.index, .serial = 0}));
  EXPECT_FALSE(gone.fd.valid());
  EXPECT_EQ(list_.All(), MappingList::Untold{kMaxMappings});
}

TEST_F(MappingListTest, TwoMappingsNeverHaveTheSameName) {
  const MappingId first = list_.Add(Memory(5));
  list_.Remove(5);
  const MappingId second = list_.Add(Memory(5));
  EXPECT_EQ(second.index, first.index);
  EXPECT_NE(second.serial, first.serial);
}

TEST_F(MappingListTest, WhatThereIsNoRoomForCannotBeMapped) {
  for (uint32_t slot = 0; slot < kMaxMappings; ++slot) {
    EXPECT_TRUE(list_.Add(Memory(slot)).valid());
  }
  EXPECT_FALSE(list_.Add(Memory(kMaxMappings)).valid());
  list_.Remove(17);
  EXPECT_TRUE(list_.Add(Memory(kMaxMappings)).valid());
}

// A peer that does not hear fills its socket; what it cannot be told waits, and
// is then told as it is then.
TEST_F(MappingListTest, NothingIsLostForAPeerThatDoesNotHear) {
  MappingList::Untold untold;
  for (uint32_t slot = 0; slot < kMaxMappings; ++slot) {
    untold.insert(list_.Add(Memory(slot)).index);
    list_.Tell(owner_.get(), untold);
  }
  EXPECT_TRUE(list_.Tell(owner_.get(), untold));
  ASSERT_FALSE(untold.empty());
  const MappingId gone = list_.Remove(kMaxMappings - 1);
  ASSERT_TRUE(untold.contains(gone.index));

  std::array<uint32_t, kMaxMappings> serials = {};
  size_t heard_of = 0;
  while (heard_of < kMaxMappings) {
    list_.Tell(owner_.get(), untold);
    const absl::StatusOr<Heard> heard = Hear();
    TE_ASSERT_OK(heard);
    const MappingId id = heard->notice.mapping;
    serials[id.index] = id.serial;
    ++heard_of;
  }
  EXPECT_TRUE(untold.empty());
  EXPECT_THAT(Hear(), StatusIs(absl::StatusCode::kDeadlineExceeded));
  for (uint32_t index = 0; index < kMaxMappings; ++index) {
    EXPECT_EQ(serials[index] == 0, index == gone.index) << index;
  }
}

TEST_F(MappingListTest, APeerThatHasGoneIsNoTrouble) {
  MappingList::Untold untold = {list_.Add(Memory(5)).index};
  peer_.reset();
  EXPECT_FALSE(list_.Tell(owner_.get(), untold)) << "there will be no room";
  EXPECT_FALSE(untold.empty());
}

}  // namespace
}  // namespace te::shm
