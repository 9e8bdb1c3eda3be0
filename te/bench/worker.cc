#include "te/bench/worker.h"

#include <algorithm>
#include <optional>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "glog/logging.h"
#include "te/core/batch.h"

namespace te::bench {
namespace {

constexpr size_t kFailuresKept = 3;
constexpr size_t kOffsetsKept = 3;

std::vector<uint64_t> OffsetsOf(const Workload& workload, int thread) {
  std::vector<uint64_t> offsets;
  for (int i = 0; i < workload.batch_size; ++i) {
    offsets.push_back(workload.OffsetOf(thread, i));
  }
  return offsets;
}

}  // namespace

std::string RequestFailure::ToString() const {
  const uint64_t more = requests - offsets.size();
  return absl::StrCat(operation == Operation::kRead ? "READ" : "WRITE", " of ",
                      length, " bytes at offset ", absl::StrJoin(offsets, ", "),
                      more > 0 ? absl::StrCat(" and ", more, " more") : "",
                      ": ", status.ToString());
}

Worker::Worker(TransferEngine& engine, const WorkerPlace& place,
               const Workload& workload, int thread, Verify verify)
    : engine_(engine),
      place_(place),
      workload_(workload),
      verify_(verify),
      contents_(OffsetsOf(workload, thread)) {
  for (uint64_t offset : OffsetsOf(workload, thread)) {
    requests_.push_back({.operation = workload.traffic == Traffic::kWrite
                                          ? Operation::kWrite
                                          : Operation::kRead,
                         .local = place.local + offset,
                         .segment = place.segment,
                         .remote_address = place.remote + offset,
                         .length = workload.block_size});
  }
  extra_.reserve(requests_.size());
  failures_.reserve(kFailuresKept);
}

absl::Span<std::byte> Worker::Local(const Request& request) const {
  return {static_cast<std::byte*>(request.local), request.length};
}

void Worker::ChooseOperations() {
  if (workload_.traffic != Traffic::kMix) return;
  bool write = write_first_;
  for (Request& request : requests_) {
    request.operation = write ? Operation::kWrite : Operation::kRead;
    write = !write;
  }
  write_first_ = write;
}

void Worker::Prepare() {
  for (size_t i = 0; i < requests_.size(); ++i) {
    contents_.Copy(i, Local(requests_[i]));
  }
  if (verify_ != Verify::kOff && !TargetIsSeeded()) {
    if (errors_ > 0) return;
    LOG(WARNING) << "the target's memory is not as it was seeded, probably "
                    "because an earlier run was cut off; seeding it again";
    if (!WriteSeeds()) return;
  }
  ChooseOperations();
  if (verify_ == Verify::kOff) {
    Transfer(requests_);
  } else {
    Duration ignored;
    CheckedTransfer(ignored);
  }
}

void Worker::Measure(MonotonicTime deadline, const std::atomic<bool>& stop) {
  const uint64_t batch_bytes = workload_.block_size * requests_.size();
  MonotonicTime now = RealClock().Now();
  while (errors_ == 0 && !stop.load() && (batches_ == 0 || now < deadline)) {
    ChooseOperations();
    Duration transfer_time;
    if (verify_ == Verify::kEveryBatch) {
      if (!CheckedTransfer(transfer_time)) return;
      now = RealClock().Now();
    } else {
      const MonotonicTime start = now;
      if (!Transfer(requests_)) return;
      now = RealClock().Now();
      transfer_time = now - start;
    }
    latency_.Record(transfer_time);
    ++batches_;
    bytes_.store(batches_ * batch_bytes, std::memory_order_relaxed);
  }
}

void Worker::Finish() {
  if (verify_ == Verify::kOff || errors_ > 0) return;
  ChooseOperations();
  Duration ignored;
  if (CheckedTransfer(ignored) && workload_.traffic != Traffic::kRead) {
    WriteSeeds();
  }
}

bool Worker::Transfer(absl::Span<const Request> requests) {
  absl::StatusOr<Batch> batch = engine_.Submit(requests);
  if (!batch.ok()) {
    for (const Request& request : requests) Fail(request, batch.status());
    return false;
  }
  batch->Wait();
  if (batch->status().ok()) return true;
  for (size_t i = 0; i < requests.size(); ++i) {
    RequestResult result = batch->result(i);
    if (!result.status.ok()) Fail(requests[i], std::move(result.status));
  }
  return false;
}

bool Worker::CheckedTransfer(Duration& transfer_time) {
  for (size_t i = 0; i < requests_.size(); ++i) {
    if (Writes(i)) {
      contents_.Renew(i, Local(requests_[i]));
    } else {
      SlotContents::Poison(Local(requests_[i]));
    }
  }
  const MonotonicTime start = RealClock().Now();
  if (!Transfer(requests_)) return false;
  transfer_time = RealClock().Now() - start;
  if (!ReadBack(/*all=*/false)) return false;
  for (size_t i = 0; i < requests_.size(); ++i) Compare(i);
  return errors_ == 0;
}

bool Worker::ReadBack(bool all) {
  extra_.clear();
  for (size_t i = 0; i < requests_.size(); ++i) {
    if (!all && !Writes(i)) continue;
    SlotContents::Poison(Local(requests_[i]));
    extra_.push_back(requests_[i]);
    extra_.back().operation = Operation::kRead;
  }
  return extra_.empty() || Transfer(extra_);
}

bool Worker::WriteSeeds() {
  extra_.clear();
  for (size_t i = 0; i < requests_.size(); ++i) {
    contents_.Reseed(i, Local(requests_[i]));
    extra_.push_back(requests_[i]);
    extra_.back().operation = Operation::kWrite;
  }
  return Transfer(extra_);
}

bool Worker::TargetIsSeeded() {
  if (!ReadBack(/*all=*/true)) return false;
  for (size_t i = 0; i < requests_.size(); ++i) {
    if (contents_.Check(i, Local(requests_[i])).has_value()) return false;
  }
  return true;
}

void Worker::Compare(size_t index) {
  const Request& request = requests_[index];
  const std::optional<Mismatch> mismatch =
      contents_.Check(index, Local(request));
  if (!mismatch.has_value()) {
    verified_bytes_ += request.length;
    return;
  }
  Fail(request, absl::DataLossError(absl::StrCat(
                    "wrong data at offset ", mismatch->position,
                    " of the target's buffer: expected ", mismatch->expected,
                    ", found ", mismatch->found)));
}

void Worker::Fail(const Request& request, absl::Status status) {
  ++errors_;
  auto failure =
      std::find_if(failures_.begin(), failures_.end(), [&](const auto& known) {
        return known.operation == request.operation && known.status == status;
      });
  if (failure == failures_.end()) {
    if (failures_.size() == kFailuresKept) return;
    failure = failures_.insert(failure, {.operation = request.operation,
                                         .length = request.length,
                                         .status = std::move(status)});
  }
  ++failure->requests;
  if (failure->offsets.size() < kOffsetsKept) {
    failure->offsets.push_back(request.remote_address - place_.remote);
  }
}

}  // namespace te::bench
