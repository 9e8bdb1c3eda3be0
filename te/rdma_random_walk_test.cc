// Two engines do at random what engines do, while the network and the devices
// beneath them fail at random. Every request ends in time, and every byte is
// right. A failure prints the seed and what came before.

#include <infiniband/verbs.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <random>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "glog/logging.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/status_matchers.h"
#include "te/core/batch.h"
#include "te/core/request.h"
#include "te/core/transfer_engine.h"
#include "te/options.h"
#include "te/rdma/emulated/emulated_device.h"
#include "te/rdma/emulated/emulated_device_spec.h"
#include "te/rdma/emulated/emulated_fabric.h"
#include "te/rdma/emulated/emulated_fault.h"
#include "te/rdma_cluster.h"
#include "te/transfer_engine.h"

namespace te {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr uint8_t kNics = 2;
constexpr size_t kBlocks = 8;
constexpr size_t kBlock = 256 << 10;
constexpr size_t kMaxBatches = 4;
constexpr size_t kMaxRequests = 8;
constexpr size_t kRemembered = 200;
constexpr Duration kTimeout = seconds(2);
// What a request may take beyond its timeout: a rail that is cut waits for
// devices and peers.
constexpr Duration kGrace = seconds(10);

class RandomWalk {
 public:
  explicit RandomWalk(uint32_t seed) : seed_(seed), random_(seed) {
    for (Node& node : nodes_) {
      node.memory.resize(kBlocks * kBlock);
      for (std::byte& byte : node.memory) byte = std::byte(random_());
      node.shadow = node.memory;
      cluster_.AddHost(node.name, kNics,
                       [](rdma::emulated::EmulatedDeviceSpec& spec) {
                         spec.bytes_per_second = 2'000'000'000;
                       });
    }
  }

  // Goes on until something is wrong, or `end` has come.
  void Run(MonotonicTime end) {
    SetFaults();
    for (Node& node : nodes_) Restart(node);
    while (RealClock().Now() < end && !testing::Test::HasFailure()) Step();
    Calm();
    while (!batches_.empty()) Finish(0);
    CheckAll();
    TransferInCalm();
    for (Node& node : nodes_) node.engine.reset();
    EXPECT_TRUE(cluster_.nothing_lives());
    EXPECT_GT(succeeded_, 0);
    LOG(INFO) << "seed " << seed_ << ": " << steps_ << " steps, " << succeeded_
              << " requests succeeded and " << failed_ << " failed";
    if (testing::Test::HasFailure()) PrintLog();
  }

 private:
  struct Node {
    std::string name;
    std::unique_ptr<TransferEngine> engine;
    std::vector<std::byte> memory;
    // What is in it, but for blocks that are being written to.
    std::vector<std::byte> shadow;
    std::array<std::optional<BufferId>, kBlocks> buffers;
    // By requests under way.
    std::array<int, kBlocks> readers = {};
    std::array<bool, kBlocks> written = {};
  };
  // A request between a block of each node.
  struct Move {
    Operation operation = Operation::kRead;
    Node* from = nullptr;
    Node* to = nullptr;
    size_t from_block = 0;
    size_t to_block = 0;
    size_t from_offset = 0;  // in the memory
    size_t to_offset = 0;
    size_t length = 0;
  };
  struct UnderWay {
    Batch batch;
    std::vector<Move> moves;
    MonotonicTime due;
  };

  size_t Below(size_t bound) { return random_() % bound; }
  bool OneIn(size_t n) { return Below(n) == 0; }
  Node& AnyNode() { return nodes_[Below(nodes_.size())]; }
  Node& Other(const Node& node) {
    return nodes_[&node == nodes_.data() ? 1 : 0];
  }
  template <typename... Args>
  void Note(const Args&... args) {
    log_.push_back(absl::StrCat(steps_, ": ", args...));
    if (log_.size() > kRemembered) log_.pop_front();
  }
  void PrintLog() {
    std::ostringstream text;
    for (const std::string& line : log_) text << line << "\n";
    ADD_FAILURE() << "seed " << seed_ << "; the last steps:\n" << text.str();
  }

  // Called with a lock of the fabric held, and so by one thread at a time.
  void SetFaults() {
    auto random = std::make_shared<std::mt19937>(random_());
    cluster_.fabric().SetFaultScript(
        [random](const rdma::emulated::WorkRequestInfo&) {
          rdma::emulated::Fault fault;
          const uint32_t draw = (*random)() % 2000;
          fault.carried_out = (*random)() % 2 == 0;
          if (draw < 5) {
            fault.status = static_cast<ibv_wc_status>(
                1 + (*random)() % IBV_WC_GENERAL_ERR);
            fault.vendor_err = draw;
          } else if (draw == 5) {
            fault.hang = rdma::emulated::Hang::kUntilError;
          } else if (draw == 6) {
            fault.hang = rdma::emulated::Hang::kForGood;
          } else if (draw < 30) {
            fault.delay = std::chrono::microseconds((*random)() % 5000);
          }
          return fault;
        });
  }
  // Nothing goes wrong any more.
  void Calm() {
    cluster_.fabric().SetFaultScript(nullptr);
    for (const Node& node : nodes_) {
      for (uint8_t nic = 0; nic < kNics; ++nic) {
        cluster_.device(node.name, nic).SetPortActive(1, true);
        cluster_.device(node.name, nic).SetLossProbability(0);
      }
    }
  }

  void Step() {
    ++steps_;
    const size_t draw = Below(1000);
    if (draw < 600) {
      if (batches_.size() < kMaxBatches) return Submit();
      return Finish(Below(batches_.size()));
    }
    if (draw < 800) {
      if (!batches_.empty()) Finish(Below(batches_.size()));
      return;
    }
    if (draw < 900) return Register(AnyNode(), Below(kBlocks));
    if (draw < 930) return Unregister(AnyNode(), Below(kBlocks));
    if (draw < 990) return ChangeDevice(AnyNode(), Below(kNics));
    if (draw < 995) return Restart(AnyNode());
    CheckAll();
  }

  void Restart(Node& node) {
    Note("restart ", node.name);
    node.engine.reset();
    node.buffers = {};
    Options options = cluster_.OptionsOf(node.name);
    options.rdma.work_timeout = milliseconds(100);
    options.rdma.flush_timeout = milliseconds(50);
    options.rdma.handshake_timeout = milliseconds(500);
    options.rdma.keepalive = milliseconds(200);
    options.engine.connect_timeout = milliseconds(500);
    options.engine.slice_bytes = 16 << 10;
    auto engine = CreateTransferEngine(options);
    TE_ASSERT_OK(engine);
    node.engine = *std::move(engine);
    for (size_t block = 0; block < kBlocks; ++block) {
      if (!OneIn(8)) Register(node, block);
    }
  }
  void Register(Node& node, size_t block) {
    if (node.buffers[block]) return;
    Note("register ", node.name, " ", block);
    auto buffer = node.engine->RegisterMemory(MemoryRegion{
        .address = node.memory.data() + block * kBlock, .length = kBlock});
    TE_ASSERT_OK(buffer);
    node.buffers[block] = *buffer;
  }
  void Unregister(Node& node, size_t block) {
    if (!node.buffers[block]) return;
    const Duration timeout = milliseconds(Below(2) * 200);
    Note("unregister ", node.name, " ", block, ", timeout ", timeout.count());
    TE_EXPECT_OK(node.engine->UnregisterMemory(*node.buffers[block], timeout));
    node.buffers[block].reset();
  }

  void ChangeDevice(const Node& node, size_t nic) {
    rdma::emulated::EmulatedDevice& device = cluster_.device(node.name, nic);
    switch (Below(5)) {
      case 0:
        // NIC i talks to NIC i, so the others must work.
        for (const Node& end : nodes_) {
          for (size_t i = 0; i < kNics; ++i) {
            if (i != nic) cluster_.device(end.name, i).SetPortActive(1, true);
          }
        }
        Note("port down: ", node.name, " ", nic);
        return device.SetPortActive(1, false);
      case 1:
      case 2:
        Note("port up: ", node.name, " ", nic);
        return device.SetPortActive(1, true);
      case 3: {
        const double loss = OneIn(2) ? 0.02 : 0;
        Note("loss ", loss, ": ", node.name, " ", nic);
        return device.SetLossProbability(loss);
      }
      default:
        ++addresses_;
        Note("new address ", addresses_, ": ", node.name, " ", nic);
        return device.SetGid(1, {.index = 3,
                                 .gid = rdma::emulated::GidOfIpv4(
                                     {11, static_cast<uint8_t>(nic),
                                      static_cast<uint8_t>(addresses_ >> 8),
                                      static_cast<uint8_t>(addresses_)}),
                                 .type = IBV_GID_TYPE_ROCE_V2,
                                 .interface_index = 2});
    }
  }

  // Blocks that are read must not be written to meanwhile, nor written twice.
  std::optional<Move> ChooseMove(Node& initiator) {
    Move move;
    move.operation = OneIn(2) ? Operation::kRead : Operation::kWrite;
    const bool read = move.operation == Operation::kRead;
    move.from = read ? &Other(initiator) : &initiator;
    move.to = read ? &initiator : &Other(initiator);
    move.from_block = Below(kBlocks);
    move.to_block = Below(kBlocks);
    if (move.from->written[move.from_block] ||
        move.to->written[move.to_block] ||
        move.to->readers[move.to_block] > 0) {
      return std::nullopt;
    }
    move.length = 1 + Below(OneIn(2) ? 200 : kBlock);
    move.from_offset =
        move.from_block * kBlock + Below(kBlock - move.length + 1);
    move.to_offset = move.to_block * kBlock + Below(kBlock - move.length + 1);
    ++move.from->readers[move.from_block];
    move.to->written[move.to_block] = true;
    return move;
  }
  void Submit() {
    Node& initiator = AnyNode();
    Node& target = Other(initiator);
    const auto segment =
        initiator.engine->OpenSegment(target.name, milliseconds(500));
    if (!segment.ok()) {
      return Note(initiator.name, " opens: ", segment.status().ToString());
    }
    if (OneIn(4)) {
      initiator.engine->RefreshSegment(*segment, milliseconds(500))
          .IgnoreError();
    }
    UnderWay added;
    std::vector<Request> requests;
    for (size_t n = 1 + Below(kMaxRequests); n > 0; --n) {
      const std::optional<Move> move = ChooseMove(initiator);
      if (!move) continue;
      std::byte* const from = move->from->memory.data() + move->from_offset;
      std::byte* const to = move->to->memory.data() + move->to_offset;
      const bool read = move->operation == Operation::kRead;
      requests.push_back(
          {.operation = move->operation,
           .local = read ? to : from,
           .segment = *segment,
           .remote_address = reinterpret_cast<uint64_t>(read ? from : to),
           .length = move->length});
      Note(initiator.name, read ? " reads " : " writes ", move->length, ": ",
           move->from_offset, " to ", move->to_offset);
      added.moves.push_back(*move);
    }
    if (requests.empty()) return;
    SubmitOptions options;
    options.timeout = kTimeout;
    added.due = DeadlineAfter(RealClock().Now(), kTimeout + kGrace);
    auto batch = initiator.engine->Submit(requests, options);
    TE_ASSERT_OK(batch);
    added.batch = *std::move(batch);
    batches_.push_back(std::move(added));
  }

  // Waits for one, and checks what it has done.
  void Finish(size_t index) {
    UnderWay done = std::move(batches_[index]);
    batches_.erase(batches_.begin() + static_cast<std::ptrdiff_t>(index));
    ASSERT_TRUE(done.batch.Wait(done.due)) << "a batch has not ended in time";
    for (size_t i = 0; i < done.moves.size(); ++i) {
      const RequestResult result = done.batch.result(i);
      EXPECT_TRUE(result.local_reusable);
      Note("ended: ", done.moves[i].to_offset, " ", result.status.ToString());
      ++(result.status.ok() ? succeeded_ : failed_);
      Check(done.moves[i], result.status.ok());
    }
  }
  // Of what failed, each byte is old or new.
  void Check(const Move& move, bool succeeded) {
    --move.from->readers[move.from_block];
    move.to->written[move.to_block] = false;
    std::byte* const shadow = move.to->shadow.data() + move.to_offset;
    const std::byte* const now = move.to->memory.data() + move.to_offset;
    const std::byte* const source = move.from->shadow.data() + move.from_offset;
    for (size_t i = 0; i < move.length; ++i) {
      ASSERT_TRUE(now[i] == source[i] || (!succeeded && now[i] == shadow[i]))
          << "byte " << i << " of " << move.length << " at " << move.to->name
          << " " << move.to_offset << " is wrong; succeeded: " << succeeded;
    }
    std::copy_n(now, move.length, shadow);
    CheckBlock(*move.to, move.to_block);
    CheckBlock(*move.from, move.from_block);
  }
  void CheckBlock(const Node& node, size_t block) {
    if (node.written[block]) return;
    const auto begin = static_cast<std::ptrdiff_t>(block * kBlock);
    const auto end = static_cast<std::ptrdiff_t>((block + 1) * kBlock);
    ASSERT_TRUE(std::equal(node.memory.begin() + begin,
                           node.memory.begin() + end,
                           node.shadow.begin() + begin))
        << "something wrote into block " << block << " of " << node.name;
  }
  void CheckAll() {
    for (const Node& node : nodes_) {
      for (size_t block = 0; block < kBlocks; ++block) CheckBlock(node, block);
    }
  }

  // Once nothing goes wrong any more all is well soon.
  void TransferInCalm() {
    const MonotonicTime deadline =
        DeadlineAfter(RealClock().Now(), seconds(30));
    Node& a = nodes_[0];
    Node& b = nodes_[1];
    Register(a, 0);
    Register(b, 0);
    absl::Status status;
    do {
      const auto segment = a.engine->OpenSegment(b.name, seconds(5));
      status = segment.status();
      if (!status.ok()) continue;
      status = a.engine->RefreshSegment(*segment, seconds(5));
      const Request request = {
          .operation = Operation::kWrite,
          .local = a.memory.data(),
          .segment = *segment,
          .remote_address = reinterpret_cast<uint64_t>(b.memory.data()),
          .length = kBlock};
      auto batch = a.engine->Submit({&request, 1});
      TE_ASSERT_OK(batch);
      ASSERT_TRUE(batch->Wait(deadline));
      status = batch->status();
    } while (!status.ok() && RealClock().Now() < deadline);
    TE_EXPECT_OK(status);
    EXPECT_TRUE(std::equal(a.memory.begin(), a.memory.begin() + kBlock,
                           b.memory.begin()));
  }

  const uint32_t seed_;
  std::mt19937 random_;
  RdmaCluster cluster_;
  std::array<Node, 2> nodes_ = {Node{.name = "a"}, Node{.name = "b"}};
  std::vector<UnderWay> batches_;
  std::deque<std::string> log_;
  uint64_t steps_ = 0;
  uint32_t addresses_ = 0;
  uint64_t succeeded_ = 0;
  uint64_t failed_ = 0;
};

void Walk(uint32_t seed) {
  LOG(INFO) << "seed " << seed;
  RandomWalk(seed).Run(DeadlineAfter(RealClock().Now(), seconds(5)));
}

TEST(RdmaRandomWalkTest, Seed1) { Walk(1); }
TEST(RdmaRandomWalkTest, Seed2) { Walk(2); }
TEST(RdmaRandomWalkTest, ARandomSeed) { Walk(std::random_device()()); }

}  // namespace
}  // namespace te
