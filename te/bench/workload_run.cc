#include "te/bench/workload_run.h"

#include <sys/eventfd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <optional>
#include <utility>

#include "absl/strings/str_cat.h"
#include "te/base/errno_status.h"

namespace te::bench {

WorkloadRun::WorkloadRun(const Workload& workload, Duration duration,
                         UniqueFd finished)
    : workload_(workload),
      duration_(duration),
      finished_(std::move(finished)),
      begin_(workload.threads),
      end_(workload.threads),
      running_(workload.threads) {}

WorkloadRun::~WorkloadRun() {
  Stop();
  Join();
}

absl::StatusOr<std::unique_ptr<WorkloadRun>> WorkloadRun::Start(
    TransferEngine& engine, absl::Span<const Place> places,
    const Workload& workload, Duration duration, Verify verify) {
  UniqueFd finished(eventfd(0, EFD_CLOEXEC));
  if (!finished.valid()) return ErrnoToStatus(errno, "eventfd");
  std::unique_ptr<WorkloadRun> run(
      new WorkloadRun(workload, duration, std::move(finished)));
  for (int i = 0; i < workload.threads; ++i) {
    run->workers_.push_back(std::make_unique<Worker>(engine, places[i].worker,
                                                     workload, i, verify));
  }
  for (int i = 0; i < workload.threads; ++i) {
    absl::StatusOr<Thread> thread = Thread::Start(
        {.name = absl::StrCat("bench-", i), .cpus = places[i].cpus},
        [self = run.get(), i] { self->Run(*self->workers_[i]); });
    if (!thread.ok()) {
      run->Stop();
      for (int absent = i; absent < workload.threads; ++absent) {
        run->begin_.Excuse();
        run->end_.Excuse();
      }
      return thread.status();
    }
    run->threads_.push_back(*std::move(thread));
  }
  return run;
}

void WorkloadRun::Run(Worker& worker) {
  worker.Prepare();
  const MonotonicTime begin = begin_.Arrive();
  if (worker.errors() == 0) {
    worker.Measure(DeadlineAfter(begin, duration_), stop_);
  }
  // One that fails takes the others with it: what they would measure without
  // it is not what was asked for.
  if (worker.errors() > 0) Stop();
  end_.Arrive();
  worker.Finish();
  if (running_.fetch_sub(1) == 1) eventfd_write(finished_.get(), 1);
}

uint64_t WorkloadRun::bytes() const {
  uint64_t sum = 0;
  for (const auto& worker : workers_) sum += worker->bytes();
  return sum;
}

Duration WorkloadRun::elapsed() const {
  const std::optional<MonotonicTime> begin = begin_.time();
  if (!begin.has_value()) return {};
  return end_.time().value_or(RealClock().Now()) - *begin;
}

Row WorkloadRun::Result() const {
  Row row{.workload = workload_};
  for (const auto& worker : workers_) {
    row.batches += worker->batches();
    row.latency.Add(worker->latency());
    row.verified_bytes += worker->verified_bytes();
    row.errors += worker->errors();
  }
  row.requests = row.batches * workload_.batch_size;
  row.bytes = row.requests * workload_.block_size;
  // Looking at data included: meanwhile the other threads have the link to
  // themselves, so without it the rate could exceed that of the link.
  row.duration_s = std::chrono::duration<double>(elapsed()).count();
  return row;
}

}  // namespace te::bench
