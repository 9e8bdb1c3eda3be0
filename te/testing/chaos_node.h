#ifndef TE_TESTING_CHAOS_NODE_H_
#define TE_TESTING_CHAOS_NODE_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/types/span.h"
#include "te/base/mutex.h"
#include "te/core/request.h"
#include "te/core/transfer_engine.h"
#include "te/testing/chaos_cluster.h"

namespace te {

// A node of Chaos: memory that stays, in a region for each thread, and an
// engine that comes and goes. Thread-safe, but for the memory.
class ChaosNode {
 public:
  // The engine, which is there as long as somebody uses it.
  class Use {
   public:
    // Waits for it.
    explicit Use(ChaosNode& node);
    ~Use();
    Use(const Use&) = delete;
    Use& operator=(const Use&) = delete;

    TransferEngine& engine() const { return engine_; }
    // Which of the node's engines that is.
    uint64_t generation() const { return generation_; }

   private:
    ChaosNode& node_;
    TransferEngine& engine_;
    const uint64_t generation_;
  };

  // Regions of such sizes. Start before use.
  ChaosNode(ChaosCluster& cluster, size_t number,
            const std::vector<size_t>& regions);

  std::string name() const { return cluster_.name(number_); }
  absl::Span<std::byte> region(size_t index) { return regions_[index].memory; }

  absl::Status Start();
  // Waits until nobody uses the engine, and destroys it.
  void Stop();
  // Unregisters a region and registers it again: nothing of before can reach it
  // any more.
  absl::Status RegisterAnew(size_t region);
  uint64_t generation() const;

 private:
  struct Region {
    absl::Span<std::byte> memory;
    BufferId buffer;
  };

  absl::Status Register(TransferEngine& engine, Region& region);
  TransferEngine& Enter();
  void Leave();

  ChaosCluster& cluster_;
  const size_t number_;
  std::vector<std::byte> memory_;
  // The buffer of each is changed by Start, and by the thread whose it is while
  // it uses the engine.
  std::vector<Region> regions_;

  mutable Mutex mutex_;
  CondVar changed_;
  std::unique_ptr<TransferEngine> engine_ ABSL_GUARDED_BY(mutex_);
  uint64_t generation_ ABSL_GUARDED_BY(mutex_) = 0;
  int users_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace te

#endif  // TE_TESTING_CHAOS_NODE_H_
