#ifndef TE_TESTING_CHAOS_H_
#define TE_TESTING_CHAOS_H_

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "te/base/clock.h"
#include "te/testing/chaos_cluster.h"
#include "te/testing/chaos_log.h"
#include "te/testing/chaos_node.h"
#include "te/testing/chaos_walker.h"

namespace te {

struct ChaosOptions {
  uint32_t seed = 1;
  Duration duration = std::chrono::seconds(10);
  size_t threads = 16;
  // Nothing happens that a transfer may fail for: no restarts, no cancelling,
  // much time. The cluster is gentle as well.
  bool gentle = false;
  // Of the blocks of most threads, and of every fourth one.
  size_t block_size = 128 << 10;
  size_t long_block_size = 2 << 20;
};

// Threads that transfer between the engines of a cluster, while its rails fail
// and its engines are restarted. Every batch ends in time, every byte is right,
// and nothing is left in the end.
class Chaos {
 public:
  // The cluster outlives it.
  Chaos(ChaosCluster& cluster, const ChaosOptions& options);

  // Once. An error says what went wrong, and what came before.
  absl::Status Run();
  // What was transferred, for people.
  std::string Summary() const;

 private:
  ChaosWalker::Counts counts() const;
  void WarmUp();
  void StartAll();
  void StopAll();
  // Calls that of each walker on a thread of its own.
  template <typename Body>
  void OnThreads(const Body& body, const std::function<void()>& meanwhile);
  void MakeTrouble();
  void Restart(ChaosNode& node);
  void AwaitIdle();
  void AwaitNothingLeft();

  ChaosCluster& cluster_;
  const ChaosOptions options_;
  std::mt19937 random_;
  ChaosLog log_;
  std::vector<std::unique_ptr<ChaosNode>> nodes_;
  std::vector<std::unique_ptr<ChaosWalker>> walkers_;
  std::atomic<bool> stop_{false};
  // What the process has without any engine.
  size_t descriptors_ = 0;
  std::string known_;
  size_t threads_ = 0;
};

}  // namespace te

#endif  // TE_TESTING_CHAOS_H_
