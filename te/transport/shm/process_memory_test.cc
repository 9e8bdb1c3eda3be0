#include "te/transport/shm/process_memory.h"

#include <signal.h>
#include <sys/mman.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/types/span.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/status_matchers.h"
#include "te/transport/slice.h"

namespace te::shm {
namespace {

using absl::StatusCode;
using testing::HasSubstr;

constexpr size_t kPage = 4096;
constexpr size_t kPages = 8;

// A copy of this process that waits to be killed: what is at an address here
// is there too.
class Copy {
 public:
  Copy() : pid_(fork()) {
    if (pid_ == 0) {
      for (;;) pause();
    }
  }
  ~Copy() { Reap(); }
  Copy(const Copy&) = delete;
  Copy& operator=(const Copy&) = delete;

  pid_t pid() const { return pid_; }
  void Kill() const { kill(pid_, SIGKILL); }
  // Also of what is left of it.
  void Reap() {
    if (pid_ <= 0) return;
    Kill();
    waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }

 private:
  pid_t pid_;
};

// Some pages, of which one is not mapped, in this process and so in its copy.
class ProcessMemoryTest : public testing::Test {
 protected:
  static constexpr size_t kHole = 3;

  void SetUp() override {
    pages_ = static_cast<std::byte*>(mmap(nullptr, kPages * kPage,
                                          PROT_READ | PROT_WRITE,
                                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    ASSERT_NE(pages_, MAP_FAILED);
    for (size_t i = 0; i < kPages * kPage; ++i) {
      pages_[i] = static_cast<std::byte>(i / kPage * 31 + i);
    }
    expected_.assign(pages_, pages_ + kPages * kPage);
    ASSERT_EQ(munmap(pages_ + kHole * kPage, kPage), 0);
  }
  void TearDown() override { munmap(pages_, kPages * kPage); }

  uint64_t address() const { return reinterpret_cast<uint64_t>(pages_); }

  absl::StatusOr<ProcessMemory> Open(const Copy& process) const {
    // Where nothing is written.
    const size_t proof = kPages * kPage - ProcessMemory::kProofBytes;
    return ProcessMemory::Open(process.pid(), address() + proof,
                               {pages_ + proof, ProcessMemory::kProofBytes});
  }

  // Pieces of the other process, one for each page.
  std::vector<iovec> Remote() const {
    std::vector<iovec> pieces;
    for (size_t i = 0; i < kPages; ++i) {
      pieces.push_back({.iov_base = pages_ + i * kPage, .iov_len = kPage});
    }
    return pieces;
  }
  std::vector<iovec> Local() {
    std::vector<iovec> pieces;
    for (size_t i = 0; i < kPages; ++i) {
      pieces.push_back(
          {.iov_base = local_.data() + i * kPage, .iov_len = kPage});
    }
    return pieces;
  }

  std::byte* pages_ = nullptr;
  std::vector<std::byte> expected_;
  std::vector<std::byte> local_ = std::vector<std::byte>(kPages * kPage);
};

TEST_F(ProcessMemoryTest, CopiesBothWays) {
  const Copy process;
  TE_ASSERT_OK_AND_ASSIGN(const ProcessMemory memory, Open(process));
  const std::vector<iovec> remote = Remote();
  const std::vector<iovec> here = Local();
  const auto from = absl::MakeConstSpan(remote).subspan(0, kHole);
  const auto to = absl::MakeConstSpan(here).subspan(0, kHole);
  absl::Status why;
  EXPECT_EQ(memory.Copy(Operation::kRead, to, from, why), kHole);
  TE_EXPECT_OK(why);
  EXPECT_EQ(memcmp(local_.data(), expected_.data(), kHole * kPage), 0);

  const std::vector<std::byte> written(kHole * kPage, std::byte{0x77});
  memcpy(local_.data(), written.data(), written.size());
  EXPECT_EQ(memory.Copy(Operation::kWrite, to, from, why), kHole);
  memset(local_.data(), 0, local_.size());
  EXPECT_EQ(memory.Copy(Operation::kRead, to, from, why), kHole);
  TE_EXPECT_OK(why);
  EXPECT_EQ(memcmp(local_.data(), written.data(), written.size()), 0);
  // There, not here.
  EXPECT_EQ(pages_[0], expected_[0]);
}

TEST_F(ProcessMemoryTest, APageThatIsNotMappedFailsExactlyItsPiece) {
  const Copy process;
  TE_ASSERT_OK_AND_ASSIGN(const ProcessMemory memory, Open(process));
  const std::vector<iovec> remote = Remote();
  const std::vector<iovec> local = Local();
  for (const Operation operation : {Operation::kRead, Operation::kWrite}) {
    std::vector<size_t> failed;
    size_t next = 0;
    while (next < kPages) {
      absl::Status why;
      next += memory.Copy(operation, absl::MakeConstSpan(local).subspan(next),
                          absl::MakeConstSpan(remote).subspan(next), why);
      if (why.ok()) continue;
      EXPECT_THAT(
          why, StatusIs(StatusCode::kInvalidArgument, HasSubstr("not mapped")));
      failed.push_back(next++);
    }
    EXPECT_THAT(failed, testing::ElementsAre(kHole));
    EXPECT_EQ(memcmp(local_.data(), expected_.data(), kHole * kPage), 0);
    EXPECT_EQ(memcmp(local_.data() + (kHole + 1) * kPage,
                     expected_.data() + (kHole + 1) * kPage,
                     (kPages - kHole - 1) * kPage),
              0);
  }
}

// Of a piece that begins well, a part may have been copied.
TEST_F(ProcessMemoryTest, APieceThatEndsInTheHoleIsNotDone) {
  const Copy process;
  TE_ASSERT_OK_AND_ASSIGN(const ProcessMemory memory, Open(process));
  const iovec remote[] = {
      {.iov_base = pages_, .iov_len = kPage},
      {.iov_base = pages_ + (kHole - 1) * kPage, .iov_len = 2 * kPage},
      {.iov_base = pages_ + (kHole + 1) * kPage, .iov_len = kPage}};
  const iovec local[] = {
      {.iov_base = local_.data(), .iov_len = kPage},
      {.iov_base = local_.data() + kPage, .iov_len = 2 * kPage},
      {.iov_base = local_.data() + 3 * kPage, .iov_len = kPage}};
  absl::Status why;
  EXPECT_EQ(memory.Copy(Operation::kRead, local, remote, why), 1u);
  EXPECT_THAT(why, StatusIs(StatusCode::kInvalidArgument));
}

TEST_F(ProcessMemoryTest, MemoryThatIsMissingHereIsNamedToo) {
  const Copy process;
  TE_ASSERT_OK_AND_ASSIGN(const ProcessMemory memory, Open(process));
  const iovec remote = {.iov_base = pages_, .iov_len = kPage};
  const iovec local = {.iov_base = pages_ + kHole * kPage, .iov_len = kPage};
  absl::Status why;
  EXPECT_EQ(memory.Copy(Operation::kRead, {&local, 1}, {&remote, 1}, why), 0u);
  EXPECT_THAT(why, StatusIs(StatusCode::kInvalidArgument, HasSubstr("here")));
}

TEST_F(ProcessMemoryTest, TakesAsManyPiecesAsItSays) {
  const Copy process;
  TE_ASSERT_OK_AND_ASSIGN(const ProcessMemory memory, Open(process));
  std::vector<iovec> remote;
  std::vector<iovec> local;
  for (size_t i = 0; i < ProcessMemory::kMaxPieces; ++i) {
    remote.push_back({.iov_base = pages_ + i, .iov_len = 1});
    local.push_back({.iov_base = local_.data() + i, .iov_len = 1});
  }
  absl::Status why;
  EXPECT_EQ(memory.Copy(Operation::kRead, local, remote, why), remote.size());
  TE_EXPECT_OK(why);
  EXPECT_EQ(memcmp(local_.data(), expected_.data(), remote.size()), 0);
}

TEST_F(ProcessMemoryTest, AnotherProcessThanTheHandshakesIsFoundOut) {
  const Copy process;
  std::array<std::byte, 16> proof;
  memcpy(proof.data(), pages_, proof.size());
  proof.back() ^= std::byte{1};
  EXPECT_THAT(ProcessMemory::Open(process.pid(), address(), proof),
              StatusIs(StatusCode::kUnavailable,
                       HasSubstr(absl::StrCat(process.pid()))));
  // Nor has it anything there.
  EXPECT_FALSE(
      ProcessMemory::Open(process.pid(), address() + kHole * kPage, proof)
          .ok());
  EXPECT_FALSE(ProcessMemory::Open(process.pid(), 0, proof).ok());
  EXPECT_FALSE(ProcessMemory::Open(process.pid(), UINT64_MAX - 7, proof).ok());
}

TEST_F(ProcessMemoryTest, AProcessThatHasEndedIsGone) {
  Copy process;
  TE_ASSERT_OK_AND_ASSIGN(const ProcessMemory memory, Open(process));
  EXPECT_FALSE(memory.IsGone());
  process.Kill();
  // Until it is reaped it is still a process.
  siginfo_t info = {};
  ASSERT_EQ(
      waitid(P_PID, static_cast<id_t>(process.pid()), &info, WEXITED | WNOWAIT),
      0);
  const iovec remote = {.iov_base = pages_, .iov_len = kPage};
  const iovec local = {.iov_base = local_.data(), .iov_len = kPage};
  for (const bool reaped : {false, true}) {
    if (reaped) process.Reap();
    EXPECT_TRUE(memory.IsGone());
    for (const Operation operation : {Operation::kRead, Operation::kWrite}) {
      absl::Status why;
      EXPECT_EQ(memory.Copy(operation, {&local, 1}, {&remote, 1}, why), 0u);
      EXPECT_THAT(why, StatusIs(StatusCode::kUnavailable, HasSubstr("ended")));
    }
  }
}

TEST_F(ProcessMemoryTest, AStoppedProcessIsNotGone) {
  const Copy process;
  TE_ASSERT_OK_AND_ASSIGN(const ProcessMemory memory, Open(process));
  ASSERT_EQ(kill(process.pid(), SIGSTOP), 0);
  ASSERT_EQ(waitpid(process.pid(), nullptr, WUNTRACED), process.pid());
  EXPECT_FALSE(memory.IsGone());
  const iovec remote = {.iov_base = pages_, .iov_len = kPage};
  const iovec local = {.iov_base = local_.data(), .iov_len = kPage};
  absl::Status why;
  EXPECT_EQ(memory.Copy(Operation::kRead, {&local, 1}, {&remote, 1}, why), 1u);
}

TEST_F(ProcessMemoryTest, AProcessThatIsNoneCannotBeOpened) {
  Copy process;
  const pid_t pid = process.pid();
  process.Reap();
  EXPECT_FALSE(ProcessMemory::Open(pid, address(), {pages_, 16}).ok());
  EXPECT_FALSE(ProcessMemory::Open(0, address(), {pages_, 16}).ok());
  EXPECT_FALSE(ProcessMemory::Open(-1, address(), {pages_, 16}).ok());
}

}  // namespace
}  // namespace te::shm
