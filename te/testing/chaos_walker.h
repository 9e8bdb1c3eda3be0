#ifndef TE_TESTING_CHAOS_WALKER_H_
#define TE_TESTING_CHAOS_WALKER_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/base/attributes.h"
#include "absl/status/status.h"
#include "absl/types/span.h"
#include "te/base/clock.h"
#include "te/core/batch.h"
#include "te/core/request.h"
#include "te/testing/chaos_log.h"
#include "te/testing/chaos_node.h"
#include "te/transport/slice.h"

namespace te {

// One thread of Chaos: it moves bytes between blocks that nobody else has, in
// each node's region of this thread, and knows what must be in them. Used by
// one thread at a time.
//
// Half of the blocks are only ever moved from, and the others to. What is both
// would do for the engines, but not for ThreadSanitizer: it takes a sender for
// at work until sendmsg has returned, when the receiver may long be done.
class ChaosWalker {
 public:
  struct Counts {
    uint64_t batches = 0;
    uint64_t succeeded = 0;
    uint64_t bytes = 0;
    std::map<absl::StatusCode, uint64_t> failed_with;
  };

  static constexpr size_t kSources = 3;
  static constexpr size_t kBlocks = 2 * kSources;
  static size_t RegionSize(size_t block_size) {
    return kFenceBytes + kBlocks * (block_size + kGapBytes);
  }

  // `region` of each node has RegionSize(block_size) bytes.
  ChaosWalker(std::vector<std::unique_ptr<ChaosNode>>& nodes, size_t region,
              size_t block_size, uint32_t seed, ChaosLog& log);

  // Transfers until `stop`, whatever goes wrong meanwhile, or if `gentle`,
  // where nothing does that a transfer may fail for.
  void WalkUntil(const std::atomic<bool>& stop, bool gentle);
  // The same once nothing goes wrong any more: after a while everything works.
  void WalkInCalm();
  // Whether all is as it should be once everything has ended.
  void CheckEnd();

  const Counts& counts() const { return counts_; }

 private:
  // Of these the first byte is sometimes read, and the second one written to;
  // in each node the second ones take what is in another one's first.
  static constexpr size_t kFenceBytes = 64;
  // Between blocks, for nobody.
  static constexpr size_t kGapBytes = 64;

  struct Move {
    Operation operation = Operation::kRead;
    size_t from_node = 0;
    size_t to_node = 0;
    // Offsets in the regions.
    size_t from = 0;
    size_t to = 0;
    size_t length = 0;
  };
  struct Submission {
    size_t initiator = 0;
    uint64_t generation = 0;
    // Of all nodes, once it had been submitted.
    std::vector<uint64_t> generations;
    std::vector<Move> moves;
    Batch batch;
    MonotonicTime due;
    std::shared_ptr<std::atomic<int>> finished;
  };

  size_t Below(size_t bound) { return random_() % bound; }
  bool OneIn(size_t n) { return Below(n) == 0; }
  size_t OtherThan(size_t node);
  size_t BlockBegin(size_t block) const {
    return kFenceBytes + block * (block_size_ + kGapBytes);
  }
  absl::Span<std::byte> memory(size_t node) {
    return nodes_[node]->region(region_);
  }

  void Step(Duration timeout);
  std::vector<Move> ChooseMoves(size_t initiator);
  void AddMoves(const Move& whole, std::vector<Move>& moves);
  void Refresh(const Move& move) ABSL_ATTRIBUTE_NO_SANITIZE_THREAD;
  Request FenceRequest(Operation operation, size_t initiator, size_t target,
                       SegmentId segment);
  void CheckFence(size_t node, size_t source);
  bool Submit(Submission& submission, Duration timeout);
  void Finish(Submission& submission);
  void Settle(const Submission& submission, size_t target);
  bool Fence(const Submission& submission, size_t target);
  void Check(const Move& move, bool succeeded);
  void CheckAll();
  absl::Status Reach(size_t initiator, size_t target, MonotonicTime deadline);

  std::vector<std::unique_ptr<ChaosNode>>& nodes_;
  const size_t region_;
  const size_t block_size_;
  ChaosLog& log_;
  std::mt19937 random_;
  // Of the region of each node.
  std::vector<std::vector<std::byte>> shadows_;
  Counts counts_;
  bool calm_ = false;
  // Calls of on_finished.
  const std::shared_ptr<std::atomic<uint64_t>> finished_ =
      std::make_shared<std::atomic<uint64_t>>(0);
};

}  // namespace te

#endif  // TE_TESTING_CHAOS_WALKER_H_
