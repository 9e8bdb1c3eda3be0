#ifndef TE_BENCH_WORKLOAD_RUN_H_
#define TE_BENCH_WORKLOAD_RUN_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/types/span.h"
#include "te/base/clock.h"
#include "te/base/thread.h"
#include "te/base/unique_fd.h"
#include "te/bench/meeting.h"
#include "te/bench/report.h"
#include "te/bench/worker.h"
#include "te/bench/workload.h"
#include "te/core/transfer_engine.h"

namespace te::bench {

// One workload on its threads. Thread-compatible.
class WorkloadRun {
 public:
  // For each thread its worker's place, and its CPUs; none mean any.
  struct Place {
    WorkerPlace worker;
    std::vector<int> cpus;
  };

  // Starts the threads, which begin to measure together when all are prepared.
  // `engine` and the memory in `places` must outlive it.
  static absl::StatusOr<std::unique_ptr<WorkloadRun>> Start(
      TransferEngine& engine, absl::Span<const Place> places,
      const Workload& workload, Duration duration, Verify verify);

  // Stops the threads if they have not finished.
  ~WorkloadRun();
  WorkloadRun(const WorkloadRun&) = delete;
  WorkloadRun& operator=(const WorkloadRun&) = delete;

  // Readable when all threads have finished.
  int finished_fd() const { return finished_.get(); }
  // Bytes so far, and in how much time; zero before the measuring begins.
  uint64_t bytes() const;
  Duration elapsed() const;

  // Ends it after the batches that are under way.
  void Stop() { stop_.store(true); }
  // Waits for the threads. The results are complete then.
  void Join() { threads_.clear(); }

  // What was measured; the transport is left open.
  Row Result() const;
  const std::vector<std::unique_ptr<Worker>>& workers() const {
    return workers_;
  }

 private:
  WorkloadRun(const Workload& workload, Duration duration, UniqueFd finished);

  void Run(Worker& worker);

  const Workload workload_;
  const Duration duration_;
  const UniqueFd finished_;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::atomic<bool> stop_{false};
  Meeting begin_;
  Meeting end_;
  std::atomic<int> running_;

  // Last: the threads use everything above.
  std::vector<Thread> threads_;
};

}  // namespace te::bench

#endif  // TE_BENCH_WORKLOAD_RUN_H_
