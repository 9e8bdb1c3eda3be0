// Strangers, crowds and chaos.
#include <dirent.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/socket_address.h"
#include "te/base/status_macros.h"
#include "te/base/status_matchers.h"
#include "te/base/thread.h"
#include "te/base/unique_fd.h"
#include "te/metadata/in_process_store.h"
#include "te/transfer_engine.h"

namespace te {
namespace {

using std::chrono::seconds;

constexpr Duration kEnough = seconds(60);

MonotonicTime Soon() { return DeadlineAfter(RealClock().Now(), kEnough); }

std::unique_ptr<TransferEngine> StartEngine(Options options = {}) {
  if (options.local_server_name.empty()) {
    options.local_server_name = "127.0.0.1";
  }
  auto engine = CreateTransferEngine(options);
  TE_EXPECT_OK(engine);
  return engine.ok() ? *std::move(engine) : nullptr;
}

// Where this process listens.
std::vector<SocketAddress> ListeningAddresses() {
  std::vector<SocketAddress> addresses;
  DIR* const directory = opendir("/proc/self/fd");
  while (const dirent* entry = readdir(directory)) {
    int fd = -1;
    if (!absl::SimpleAtoi(entry->d_name, &fd)) continue;
    int listening = 0;
    socklen_t size = sizeof(listening);
    if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listening, &size) != 0 ||
        listening == 0) {
      continue;
    }
    sockaddr_storage storage = {};
    socklen_t length = sizeof(storage);
    auto* const address = reinterpret_cast<sockaddr*>(&storage);
    if (getsockname(fd, address, &length) != 0) continue;
    auto parsed = SocketAddress::FromSockaddr(address, length);
    if (parsed.ok()) addresses.push_back(*parsed);
  }
  closedir(directory);
  return addresses;
}

// Says `bytes` to whoever listens there, and waits until it hangs up or has no
// more to say for now.
void Shout(const SocketAddress& address, const std::string& bytes) {
  UniqueFd fd(socket(address.family(), SOCK_STREAM | SOCK_CLOEXEC, 0));
  ASSERT_EQ(connect(fd.get(), address.data(), address.length()), 0);
  // The other end may hang up meanwhile.
  (void)!send(fd.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
  pollfd poller = {.fd = fd.get(), .events = POLLIN, .revents = 0};
  poll(&poller, 1, 20);
}

std::string Garbage(std::mt19937& random) {
  std::string bytes(std::uniform_int_distribution<size_t>(0, 5000)(random), 0);
  for (char& c : bytes) c = static_cast<char>(random());
  // Half of it begins as a frame does, to get further.
  if (random() % 2 == 0 && bytes.size() > 8) {
    bytes.replace(0, 4, "teF1");
    bytes[4] = 1;
    bytes[5] = static_cast<char>(random() % 5);
    bytes[6] = static_cast<char>(random() % 3);
    bytes[7] = 0;
  }
  return bytes;
}

absl::Status Transfer(TransferEngine& engine, const Request& request) {
  TE_ASSIGN_OR_RETURN(Batch batch, engine.Submit({&request, 1}));
  EXPECT_TRUE(batch.Wait(Soon()));
  return batch.status();
}

TEST(HostileTest, GarbageToEveryPortChangesNothing) {
  std::vector<std::byte> exposed(1 << 20, std::byte{1});
  std::vector<std::byte> local(1 << 20, std::byte{2});
  auto target = StartEngine();
  TE_ASSERT_OK(target->RegisterMemory(
      MemoryRegion{.address = exposed.data(), .length = exposed.size()}));
  const std::vector<SocketAddress> doors = ListeningAddresses();
  ASSERT_GE(doors.size(), 2u) << "control and data";
  auto initiator = StartEngine();
  TE_ASSERT_OK(initiator->RegisterMemory(
      MemoryRegion{.address = local.data(), .length = local.size()}));
  TE_ASSERT_OK_AND_ASSIGN(
      const SegmentId segment,
      initiator->OpenSegment(target->segment_name(), kEnough));

  const unsigned seed = std::random_device()();
  SCOPED_TRACE(absl::StrCat("seed ", seed));
  std::mt19937 random(seed);
  for (int i = 0; i < 60; ++i) {
    for (const SocketAddress& door : doors) Shout(door, Garbage(random));
  }
  EXPECT_TRUE(std::all_of(exposed.begin(), exposed.end(),
                          [](std::byte b) { return b == std::byte{1}; }));
  TE_EXPECT_OK(Transfer(
      *initiator, {.operation = Operation::kWrite,
                   .local = local.data(),
                   .segment = segment,
                   .remote_address = reinterpret_cast<uint64_t>(exposed.data()),
                   .length = local.size()}));
  EXPECT_EQ(exposed, local);
}

TEST(HostileTest, ListensWhereItWasToldAndNowhereElse) {
  auto engine = StartEngine();
  for (const SocketAddress& door : ListeningAddresses()) {
    // gRPC binds IPv4 addresses in their IPv6 form.
    EXPECT_THAT(door.ip(), testing::AnyOf("127.0.0.1", "::ffff:127.0.0.1"));
  }
}

TEST(HostileTest, SixtyFourEnginesStartAtOnce) {
  constexpr int kEngines = 64;
  std::vector<std::unique_ptr<TransferEngine>> engines(kEngines);
  {
    std::vector<Thread> starters;
    for (int i = 0; i < kEngines; ++i) {
      TE_ASSERT_OK_AND_ASSIGN(Thread thread,
                              Thread::Start({.name = "starter"}, [&engines, i] {
                                engines[i] = StartEngine();
                              }));
      starters.push_back(std::move(thread));
    }
  }
  std::set<std::string> names;
  for (const auto& engine : engines) {
    ASSERT_NE(engine, nullptr);
    names.insert(engine->segment_name());
  }
  EXPECT_EQ(names.size(), engines.size());
  for (int i = 0; i < kEngines; ++i) {
    TE_EXPECT_OK(engines[i]->OpenSegment(
        engines[(i + 1) % kEngines]->segment_name(), kEnough));
  }
}

TEST(HostileTest, AStoreRefusesASecondEngineOfTheSameName) {
  Options options;
  options.metadata_store = std::make_shared<InProcessStore>();
  options.local_server_name = "localhost";
  options.segment_name = "decode-0";
  auto first = StartEngine(options);
  EXPECT_THAT(CreateTransferEngine(options),
              StatusIs(absl::StatusCode::kAlreadyExists));
  first.reset();
  EXPECT_NE(StartEngine(options), nullptr);
}

TEST(HostileTest, BadOptionsAreErrorsThatNameThem) {
  struct Case {
    std::function<void(Options&)> spoil;
    const char* text;
  };
  const Case cases[] = {
      {[](Options& o) { o.protocol = "rdma"; }, "rdma"},
      {[](Options& o) { o.metadata_server = "etcd://h"; }, "etcd"},
      {[](Options& o) { o.metadata_server = "redis://h:0"; }, "port 0"},
      {[](Options& o) { o.segment_name = "a"; }, "segment_name"},
      {[](Options& o) { o.metadata_lease = seconds(0); }, "metadata_lease"},
      {[](Options& o) { o.local_server_name = "1.2.3.4:99999"; }, "99999"},
      {[](Options& o) { o.local_server_name = "0.0.0.0"; }, "every address"},
      {[](Options& o) { o.local_server_name = "192.0.2.1"; }, "192.0.2.1"},
      {[](Options& o) { o.tcp.streams_per_peer = 0; }, "streams_per_peer"},
      {[](Options& o) { o.tcp.io_threads = 1000; }, "io_threads"},
      {[](Options& o) { o.tcp.window_bytes = 1; }, "window_bytes"},
      {[](Options& o) { o.engine.max_batches = 0; }, "max_batches"},
      {[](Options& o) { o.engine.slice_bytes = 1; }, "slice_bytes"},
  };
  for (const Case& c : cases) {
    Options options;
    options.local_server_name = "127.0.0.1";
    c.spoil(options);
    const auto engine = CreateTransferEngine(options);
    EXPECT_THAT(std::string(engine.status().message()),
                testing::HasSubstr(c.text));
  }
}

// Several threads write and read disjoint parts of one segment in random
// pieces, over several streams, and compare each READ with a shadow copy.
TEST(HostileTest, ManyThreadsSeeTheirOwnBytes) {
  constexpr size_t kThreads = 6;
  constexpr size_t kPart = 1 << 20;
  constexpr int kRounds = 150;
  Options options;
  options.tcp.streams_per_peer = 3;
  options.tcp.io_threads = 2;
  options.tcp.window_bytes = 256 << 10;
  options.tcp.checksum = true;
  options.engine.slice_bytes = 16 << 10;
  auto target = StartEngine(options);
  auto initiator = StartEngine(options);
  std::vector<std::byte> remote(kThreads * kPart);
  std::vector<std::byte> local(kThreads * kPart);
  TE_ASSERT_OK(target->RegisterMemory(
      MemoryRegion{.address = remote.data(), .length = remote.size()}));
  TE_ASSERT_OK(initiator->RegisterMemory(
      MemoryRegion{.address = local.data(), .length = local.size()}));
  TE_ASSERT_OK_AND_ASSIGN(
      const SegmentId segment,
      initiator->OpenSegment(target->segment_name(), kEnough));
  const unsigned seed = std::random_device()();
  SCOPED_TRACE(absl::StrCat("seed ", seed));

  const auto work = [&](size_t part) {
    std::mt19937 random(seed + static_cast<unsigned>(part));
    std::byte* const mine = local.data() + part * kPart;
    const auto theirs =
        reinterpret_cast<uint64_t>(remote.data()) + part * kPart;
    std::vector<std::byte> shadow(kPart);
    for (int round = 0; round < kRounds; ++round) {
      std::vector<Request> requests;
      std::vector<size_t> cuts = {0, kPart};
      for (int i = 0; i < 20; ++i) cuts.push_back(random() % kPart);
      std::sort(cuts.begin(), cuts.end());
      cuts.erase(std::unique(cuts.begin(), cuts.end()), cuts.end());
      const bool write = random() % 2 == 0;
      for (size_t i = 0; i + 1 < cuts.size(); ++i) {
        requests.push_back(
            {.operation = write ? Operation::kWrite : Operation::kRead,
             .local = mine + cuts[i],
             .segment = segment,
             .remote_address = theirs + cuts[i],
             .length = cuts[i + 1] - cuts[i]});
      }
      std::fill(mine, mine + kPart, static_cast<std::byte>(random()));
      if (write) shadow.assign(mine, mine + kPart);
      auto batch = initiator->Submit(requests);
      TE_ASSERT_OK(batch);
      ASSERT_TRUE(batch->Wait(Soon()));
      TE_ASSERT_OK(batch->status());
      ASSERT_TRUE(std::equal(shadow.begin(), shadow.end(), mine))
          << "part " << part << " round " << round;
    }
  };
  std::vector<Thread> threads;
  for (size_t part = 0; part < kThreads; ++part) {
    TE_ASSERT_OK_AND_ASSIGN(
        Thread thread,
        Thread::Start({.name = "worker"}, [&work, part] { work(part); }));
    threads.push_back(std::move(thread));
  }
}

}  // namespace
}  // namespace te
