#ifndef TE_BENCH_INITIATOR_H_
#define TE_BENCH_INITIATOR_H_

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "te/bench/bench_memory.h"
#include "te/bench/bench_options.h"
#include "te/bench/progress_line.h"
#include "te/bench/report.h"
#include "te/bench/workload_run.h"
#include "te/core/transfer_engine.h"
#include "te/program/stop_signal.h"

namespace te::bench {

// Measures the workloads of its options against one target. Thread-compatible.
class Initiator {
 public:
  // Adds `memory` to the engine, and removes it in the end. `engine`,
  // `options`, `memory` and `stop` must outlive it.
  static absl::StatusOr<std::unique_ptr<Initiator>> Create(
      TransferEngine& engine, const BenchOptions& options, BenchMemory& memory,
      program::StopSignal& stop);
  ~Initiator();

  // Connects to the target, once, before Run. A signal meanwhile ends the
  // process.
  absl::Status Connect(const std::string& segment);

  // Adds a row to `report` for each workload. ABORTED after the first one with
  // errors says which requests failed and why; CANCELLED after a signal,
  // without a row if that came before the first batch.
  absl::Status Run(Report& report);

 private:
  struct RemoteBuffer {
    uint64_t address = 0;
    uint64_t length = 0;
  };

  Initiator(TransferEngine& engine, const BenchOptions& options,
            BenchMemory& memory, program::StopSignal& stop);

  absl::Status RunOne(const Workload& workload, Report& report);
  absl::StatusOr<std::vector<WorkloadRun::Place>> PlacesFor(
      const Workload& workload) const;
  // Until the run has finished; the signal that ended it early, or 0.
  int Watch(WorkloadRun& run, const Workload& workload);

  TransferEngine& engine_;
  const BenchOptions& options_;
  BenchMemory& memory_;
  program::StopSignal& stop_;
  ProgressLine progress_;
  std::string segment_name_;
  SegmentId segment_;
  std::vector<RemoteBuffer> remote_;
};

}  // namespace te::bench

#endif  // TE_BENCH_INITIATOR_H_
