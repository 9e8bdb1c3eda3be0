#ifndef TE_BENCH_WORKER_H_
#define TE_BENCH_WORKER_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/types/span.h"
#include "te/base/clock.h"
#include "te/bench/latency_histogram.h"
#include "te/bench/slot_contents.h"
#include "te/bench/workload.h"
#include "te/core/request.h"
#include "te/core/transfer_engine.h"

namespace te::bench {

// Where a worker's transfers go. Offsets of requests (Workload::OffsetOf) count
// from the beginning of both buffers.
struct WorkerPlace {
  SegmentId segment;
  std::byte* local = nullptr;
  uint64_t remote = 0;
};

// What went wrong with requests, which is often the same for many of them.
struct RequestFailure {
  Operation operation = Operation::kRead;
  uint64_t length = 0;
  absl::Status status;
  uint64_t requests = 0;
  // Of the first few, in the target's buffer.
  std::vector<uint64_t> offsets;

  // "READ of 65536 bytes at offset 0, 131072 and 14 more: UNAVAILABLE: ..."
  std::string ToString() const;
};

// Submits batches, one after the other, and waits for each. Prepare, Measure
// and Finish are to be called in this order, each after the one before has
// returned; the results may be read after that.
//
// Between the calls, and unless there were errors, the local memory is the same
// as that of the target; in the end both are as the target has seeded them. So
// any number of workers of any number of runs can verify what they read.
class Worker {
 public:
  // `engine`, and the memory in `place`, must outlive it.
  Worker(TransferEngine& engine, const WorkerPlace& place,
         const Workload& workload, int thread, Verify verify);

  // Seeds the local memory and does one batch, so that what is measured does
  // not include the first touch of anything.
  void Prepare();
  // Measures until `stop`, until something fails, or until `deadline`, but for
  // one batch at least. Does not allocate memory unless something fails.
  void Measure(MonotonicTime deadline, const std::atomic<bool>& stop);
  // Verifies one batch more if wanted, and puts things back.
  void Finish();

  // Bytes that have been transferred while measuring. Thread-safe.
  uint64_t bytes() const { return bytes_.load(std::memory_order_relaxed); }

  uint64_t batches() const { return batches_; }
  // Of the transfers alone, without looking at data.
  const LatencyHistogram& latency() const { return latency_; }
  uint64_t verified_bytes() const { return verified_bytes_; }
  // Requests that failed, or whose data were wrong.
  uint64_t errors() const { return errors_; }
  // The first few different ones.
  const std::vector<RequestFailure>& failures() const { return failures_; }

 private:
  absl::Span<std::byte> Local(const Request& request) const;
  bool Writes(size_t index) const {
    return requests_[index].operation == Operation::kWrite;
  }
  // `mix` goes on alternating from batch to batch.
  void ChooseOperations();
  // Submits and waits. False if something fails, which is recorded.
  bool Transfer(absl::Span<const Request> requests);
  // Transfers `requests_`, and looks at the data. `transfer_time` is that of
  // the transfer itself.
  bool CheckedTransfer(Duration& transfer_time);
  // Reads the slots into poisoned memory; those that were written, or all.
  bool ReadBack(bool all);
  bool WriteSeeds();
  bool TargetIsSeeded();
  void Compare(size_t index);
  void Fail(const Request& request, absl::Status status);

  TransferEngine& engine_;
  const WorkerPlace place_;
  const Workload workload_;
  const Verify verify_;

  std::vector<Request> requests_;
  // For reading or writing slots outside of the workload; reused.
  std::vector<Request> extra_;
  SlotContents contents_;
  // In a mix: whether the first request of the next batch writes.
  bool write_first_ = false;

  // Written by the worker's thread alone, so relaxed order is enough for those
  // who look at it meanwhile.
  std::atomic<uint64_t> bytes_{0};
  uint64_t batches_ = 0;
  LatencyHistogram latency_;
  uint64_t verified_bytes_ = 0;
  uint64_t errors_ = 0;
  std::vector<RequestFailure> failures_;
};

}  // namespace te::bench

#endif  // TE_BENCH_WORKER_H_
