#include "te/grpc/connection_acceptor.h"

#include <sched.h>
#include <stddef.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "glog/logging.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/mutex.h"
#include "te/base/socket_address.h"
#include "te/base/status_matchers.h"
#include "te/base/unique_fd.h"
#include "te/grpc/listener.h"

namespace te {
namespace {

MonotonicTime Soon() { return RealClock().Now() + std::chrono::seconds(30); }

// Keeps what is logged, and waits for it.
class LogWatcher final : public google::LogSink {
 public:
  LogWatcher() { google::AddLogSink(this); }
  ~LogWatcher() override { google::RemoveLogSink(this); }

  void send(google::LogSeverity, const char*, const char*, int,
            const google::LogMessageTime&, const char* message,
            size_t length) override {
    MutexLock lock(mutex_);
    lines_.emplace_back(message, length);
    changed_.NotifyAll();
  }
  bool WaitFor(const std::string& text) {
    MutexLock lock(mutex_);
    const MonotonicTime deadline = Soon();
    while (Count(text) == 0) {
      if (!changed_.WaitUntil(mutex_, deadline)) return false;
    }
    return true;
  }
  int CountOf(const std::string& text) {
    MutexLock lock(mutex_);
    return Count(text);
  }

 private:
  int Count(const std::string& text) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    int count = 0;
    for (const std::string& line : lines_) {
      if (line.find(text) != std::string::npos) ++count;
    }
    return count;
  }

  Mutex mutex_;
  CondVar changed_;
  std::vector<std::string> lines_ ABSL_GUARDED_BY(mutex_);
};

class ConnectionAcceptorTest : public testing::Test {
 protected:
  void Start(int max_connections) {
    TE_ASSERT_OK_AND_ASSIGN(
        GrpcListener listener,
        ListenForGrpc(*SocketAddress::FromIp("127.0.0.1", 0), {}));
    address_ = listener.address;
    TE_ASSERT_OK_AND_ASSIGN(
        acceptor_,
        ConnectionAcceptor::Start(
            "test", std::move(listener), max_connections,
            [this](UniqueFd connection) { Keep(std::move(connection)); }));
  }
  UniqueFd Connect() const {
    UniqueFd fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    EXPECT_TRUE(fd.valid());
    ConnectWith(fd);
    return fd;
  }
  void ConnectWith(const UniqueFd& fd) const {
    EXPECT_EQ(connect(fd.get(), address_.data(), address_.length()), 0);
  }
  void Stop() { acceptor_.reset(); }
  bool WaitForAccepted(size_t count) {
    MutexLock lock(mutex_);
    const MonotonicTime deadline = Soon();
    while (accepted_.size() < count) {
      if (!changed_.WaitUntil(mutex_, deadline)) return false;
    }
    return true;
  }
  // Also waits, but learns nothing of what else the acceptor's thread did
  // before.
  bool HearOfAccepted(int count) const {
    const MonotonicTime deadline = Soon();
    while (heard_.load(std::memory_order_relaxed) < count) {
      if (RealClock().Now() >= deadline) return false;
      sched_yield();
    }
    return true;
  }
  int descriptor_of_accepted() {
    MutexLock lock(mutex_);
    return accepted_.back().get();
  }
  void CloseAccepted() {
    MutexLock lock(mutex_);
    accepted_.clear();
  }
  size_t accepted() {
    MutexLock lock(mutex_);
    return accepted_.size();
  }

  LogWatcher log_;

 private:
  void Keep(UniqueFd connection) {
    MutexLock lock(mutex_);
    accepted_.push_back(std::move(connection));
    changed_.NotifyAll();
    heard_.fetch_add(1, std::memory_order_relaxed);
  }

  SocketAddress address_;
  Mutex mutex_;
  CondVar changed_;
  std::vector<UniqueFd> accepted_ ABSL_GUARDED_BY(mutex_);
  std::atomic<int> heard_ = 0;
  std::unique_ptr<ConnectionAcceptor> acceptor_;  // ends first
};

bool IsClosedByPeer(const UniqueFd& fd) {
  char byte;
  return recv(fd.get(), &byte, 1, 0) <= 0;
}

TEST_F(ConnectionAcceptorTest, AConnectionBeyondTheLimitIsClosedAtOnce) {
  Start(2);
  const UniqueFd first = Connect();
  const UniqueFd second = Connect();
  ASSERT_TRUE(WaitForAccepted(2));
  EXPECT_TRUE(IsClosedByPeer(Connect()));
  EXPECT_TRUE(IsClosedByPeer(Connect()));
  EXPECT_EQ(accepted(), 2u);
  EXPECT_EQ(log_.CountOf("2 are open, as many as may be"), 1);
}

TEST_F(ConnectionAcceptorTest, ClosedConnectionsMakeRoom) {
  Start(2);
  for (int round = 0; round < 3; ++round) {
    const UniqueFd first = Connect();
    const UniqueFd second = Connect();
    ASSERT_TRUE(WaitForAccepted(2));
    CloseAccepted();
  }
  EXPECT_EQ(log_.CountOf("refused"), 0);
}

TEST_F(ConnectionAcceptorTest, ADescriptorThatIsUsedAgainIsNotAConnection) {
  Start(1);
  const UniqueFd first = Connect();
  ASSERT_TRUE(WaitForAccepted(1));
  CloseAccepted();
  // Takes the number that has just become free.
  const UniqueFd other(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const UniqueFd second = Connect();
  EXPECT_TRUE(WaitForAccepted(1));
}

// Under ThreadSanitizer, which once ended the process instead of a report: of a
// descriptor that system calls had made which it does not know.
TEST_F(ConnectionAcceptorTest, WhatIsLookedAtMayBeAnothersAndBeClosed) {
  Start(1);
  const UniqueFd first = Connect();
  ASSERT_TRUE(WaitForAccepted(1));
  const int lent = descriptor_of_accepted();
  CloseAccepted();
  UniqueFd other(static_cast<int>(syscall(SYS_pidfd_open, getpid(), 0)));
  ASSERT_EQ(other.get(), lent);
  const UniqueFd second = Connect();
  ASSERT_TRUE(HearOfAccepted(2));
  other.reset();
}

// Lowers the limit so that no further descriptor can be had.
class NoMoreDescriptors {
 public:
  NoMoreDescriptors() {
    getrlimit(RLIMIT_NOFILE, &before_);
    rlimit none = before_;
    none.rlim_cur = 0;
    setrlimit(RLIMIT_NOFILE, &none);
  }
  ~NoMoreDescriptors() { setrlimit(RLIMIT_NOFILE, &before_); }

 private:
  rlimit before_;
};

TEST_F(ConnectionAcceptorTest, AcceptsAgainWhenDescriptorsAreFree) {
  Start(8);
  UniqueFd client(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  {
    const NoMoreDescriptors exhausted;
    ConnectWith(client);
    ASSERT_TRUE(log_.WaitFor("ulimit -n"));
  }
  EXPECT_TRUE(WaitForAccepted(1));
  EXPECT_EQ(log_.CountOf("EMFILE"), 1);
}

TEST_F(ConnectionAcceptorTest, EndsWhileItWaitsForDescriptors) {
  Start(8);
  UniqueFd client(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const NoMoreDescriptors exhausted;
  ConnectWith(client);
  ASSERT_TRUE(log_.WaitFor("ulimit -n"));
  Stop();
  EXPECT_EQ(accepted(), 0u);
}

}  // namespace
}  // namespace te
