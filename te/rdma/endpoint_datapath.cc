// What an endpoint does for each slice and each completion.

#include <algorithm>
#include <array>
#include <utility>

#include "absl/strings/str_cat.h"
#include "glog/logging.h"
#include "te/base/errno_status.h"
#include "te/rdma/completion_status.h"
#include "te/rdma/endpoint.h"

namespace te::rdma {
namespace {

// Completions that are fetched at once.
constexpr int kCompletions = 32;
// From so many wakes in vain on, the queue is not armed any more for who posts.
constexpr int kVainWakes = 3;
// After so many glances without news it is again: the thread can sleep.
constexpr int kIdleGlances = 50;

std::string NameOf(const Slice& slice) {
  return absl::StrCat(slice.operation == Operation::kRead ? "READ" : "WRITE",
                      " of ", slice.length, " bytes at 0x",
                      absl::Hex(slice.remote_address), " of the peer, 0x",
                      absl::Hex(reinterpret_cast<uint64_t>(slice.local)),
                      " here");
}

bool HaveSameKeys(const Slice& a, const Slice& b) {
  return a.local_slot == b.local_slot &&
         a.remote_key.data() == b.remote_key.data();
}

// Slices of one work request.
template <typename Function>
void ForEach(Slice* slices, Function function) {
  while (slices != nullptr) {
    Slice* const next = slices->next;
    function(*slices);
    slices = next;
  }
}

}  // namespace

// --- Posting. ---

// In turn, a chain each: then all of them have work, and each doorbell rings
// for many.
SendQueue* Endpoint::FindQueue(uint32_t parts) {
  const size_t count = connection_->queues.size();
  for (size_t i = 0; i < count; ++i) {
    if (++current_ == count) current_ = 0;
    SendQueue& queue = *connection_->queues[current_];
    queue.LookForRoom();
    if (queue.room() >= parts) return &queue;
  }
  return nullptr;
}

void Endpoint::Add(SliceList& slices) {
  const uint64_t limit = options_.window_bytes - in_flight_bytes_.load();
  const uint32_t longest = connection_->max_message_bytes;
  uint64_t added = 0;
  SendQueue* queue = QueueFor(*slices.front());
  WorkPiece piece;
  do {
    Slice& slice = slices.PopFront();
    // Slices in a row mostly have the same buffers.
    if (piece.slice == nullptr || !HaveSameKeys(*piece.slice, slice)) {
      piece.local_key = memory_.LocalKey(slice.local_slot, local_);
      CHECK(RemoteKey(slice.remote_key, connection_->remote_nic,
                      piece.remote_key));
    }
    piece.slice = &slice;
    piece.operation = slice.operation;
    piece.local = slice.local;
    piece.remote_address = slice.remote_address;
    uint32_t rest = slice.length;
    do {
      piece.length = std::min(rest, longest);
      rest -= piece.length;
      piece.partial = rest > 0;
      queue->Add(piece);
      piece.local += piece.length;
      piece.remote_address += piece.length;
    } while (piece.partial);
    added += slice.length;
  } while (!slices.empty() && added + slices.front()->length <= limit &&
           (queue = QueueFor(*slices.front())) != nullptr);
  in_flight_bytes_ += added;
  if (!used_) used_ = true;
}

void Endpoint::Probe() {
  if (!usable() || in_flight_ > 0) return;
  SendQueue& queue = *connection_->queues.front();
  queue.LookForRoom();
  queue.AddProbe();
  SliceList none;
  RingQueue(queue, none);
}

void Endpoint::Ring(SliceList& refused) {
  for (const auto& queue : connection_->queues) {
    if (queue->chained() > 0) RingQueue(*queue, refused);
  }
}

void Endpoint::RingQueue(SendQueue& queue, SliceList& refused) {
  const uint32_t count = queue.chained();
  // Before the look at pollers_: the last poller looks the other way round, so
  // one of the two sees the other.
  in_flight_ += count;
  // And before the work requests: then their completions find it armed, if they
  // are to wake anybody.
  if (pollers_ == 0 && !attended_) Arm();
  const uint32_t end = queue.end();
  uint64_t refused_bytes = 0;
  SliceList torn;
  const absl::Status status = queue.Ring(
      RealClock().Now(), [&](const SendQueue::Posted& posted, bool is_torn) {
        refused_bytes += posted.bytes;
        if (posted.partial) return;
        ForEach(posted.first, [&](Slice& slice) {
          (is_torn ? torn : refused).PushBack(slice);
        });
      });
  if (status.ok()) return;
  if (!torn.empty()) {
    // A part is under way, so it comes back with what was flushed.
    polling_.Take();
    flushed_.Append(std::move(torn));
    polling_.Pass();
  }
  in_flight_ -= count - (queue.end() - end);
  in_flight_bytes_ -= refused_bytes;
  Break(
      absl::UnavailableError(absl::StrCat(Describe(), ": ", status.message())));
}

void Endpoint::CheckProgress(MonotonicTime now) {
  if (!ready_) return;
  for (const auto& queue : connection_->queues) {
    if (queue->outstanding() == 0 ||
        now - queue->waiting_since() < options_.work_timeout) {
      continue;
    }
    Break(absl::UnavailableError(absl::StrCat(
        Describe(), ": a work request has not completed for ",
        options_.work_timeout / std::chrono::milliseconds(1),
        " ms (work_timeout), and the device reports no error: is it stuck?")));
    return;
  }
}

// --- Polling. ---

Progress Endpoint::Poll() {
  if (!polling_.TryTake()) return Progress::kBusy;
  Finished finished;
  const int count = PollOnce(finished);
  polling_.Pass();
  if (count == 0) return Progress::kIdle;
  GiveBack(std::move(finished));
  if (pollers_ > 0 && !found_by_caller_) found_by_caller_ = true;
  host_.OnRoom();
  return Progress::kMoved;
}

void Endpoint::EndPolling() {
  if (--pollers_ > 0 || in_flight_ == 0) return;
  Rest();
}

Progress Endpoint::OnCompletions() {
  const bool woken = armed_.exchange(false);
  const bool polled_for = pollers_ > 0;
  const Progress progress = polled_for ? Progress::kBusy : Poll();
  const bool attended = found_by_caller_.exchange(false) || polled_for;
  if (progress == Progress::kMoved) {
    vain_wakes_ = 0;
  } else if (woken && attended && ++vain_wakes_ >= kVainWakes) {
    attended_ = true;
  }
  if (polled_for) return progress;
  // Who only polls in passing asks for nothing when he leaves.
  return progress == Progress::kBusy ? Progress::kIdle : progress;
}

void Endpoint::Glance() {
  const uint64_t completed = completed_;
  const bool idle = completed == std::exchange(completed_at_glance_, completed);
  idle_glances_ = idle ? idle_glances_ + 1 : 0;
  const bool neglected =
      pollers_ == 0 && in_flight_ > 0 && Poll() == Progress::kMoved;
  if (!neglected && idle_glances_ < kIdleGlances) return;
  vain_wakes_ = 0;
  // Before the look at in_flight_: who posts looks the other way round.
  attended_ = false;
  Rest();
}

void Endpoint::Rest() {
  if (pollers_ > 0 || in_flight_ == 0) return;
  polling_.Take();
  if (connection_ != nullptr) Arm();
  polling_.Pass();
  // What came before the queue was armed wakes nobody.
  while (Poll() == Progress::kMoved) {
  }
}

void Endpoint::Arm() {
  if (armed_.exchange(true)) return;
  const int error = ibv_req_notify_cq(connection_->completions.get(),
                                      /*solicited_only=*/0);
  LOG_IF(ERROR, error != 0) << ErrnoToStatus(error, "ibv_req_notify_cq");
}

int Endpoint::PollOnce(Finished& finished) {
  if (connection_ == nullptr) return 0;
  std::array<ibv_wc, kCompletions> completions;
  const int count = ibv_poll_cq(connection_->completions.get(), kCompletions,
                                completions.data());
  if (count < 0) {
    Break(absl::UnavailableError(absl::StrCat(
        Describe(), ": ibv_poll_cq has failed; look into the kernel's log")));
  }
  if (count <= 0) return 0;
  const MonotonicTime now = RealClock().Now();
  for (int i = 0; i < count; ++i) {
    Complete(completions[static_cast<size_t>(i)], now, finished);
  }
  return count;
}

void Endpoint::Complete(const ibv_wc& completion, MonotonicTime now,
                        Finished& finished) {
  const WorkRequestId id = WorkRequestId::Unpack(completion.wr_id);
  CHECK_LT(id.queue, connection_->queues.size());
  SendQueue& queue = *connection_->queues[id.queue];
  CHECK(queue.IsUnderWay(id.position))
      << nic_.device->name() << " completes what was not posted";
  queue.NoteProgress(now);
  if (completion.status == IBV_WC_SUCCESS) {
    if (!proven_) proven_ = true;
    return Succeed(queue.TakeBefore(id.position + 1), finished);
  }
  // They complete in order, so those before have been done: unless they were
  // flushed as well, for who knows whether a device reports those that did not
  // ask for a completion.
  if (completion.status != IBV_WC_WR_FLUSH_ERR) {
    Succeed(queue.TakeBefore(id.position), finished);
  }
  queue.CompleteThrough(id.position, [&](const SendQueue::Posted& posted) {
    polling_.AssertHeld();
    Fail(completion, posted, finished);
  });
}

void Endpoint::Succeed(SendQueue::Completed completed, Finished& finished) {
  if (completed.bytes > 0 && !has_carried_) has_carried_ = true;
  finished.done.Append(std::move(completed.slices));
  Account(completed.work_requests, completed.bytes);
}

// The first error on a queue pair is what happened; the others are flushed. If
// nothing else came first, the device has given the queue pair up by itself.
void Endpoint::Fail(const ibv_wc& completion, const SendQueue::Posted& posted,
                    Finished& finished) {
  if (completion.status == IBV_WC_WR_FLUSH_ERR && broken()) {
    return GiveUp(posted, finished);
  }
  const absl::Status why = CompletionStatus(
      completion.status, completion.vendor_err,
      posted.first == nullptr ? "a probe" : NameOf(*posted.first), Describe());
  if (absl::IsUnavailable(why)) {
    Break(why);
    return GiveUp(posted, finished);
  }
  // Neither the connection is to blame, nor what else is on it.
  proven_ = true;
  has_carried_ = true;
  Break(absl::AbortedError(why.message()));
  if (posted.partial) {
    failed_ = posted.first;
    failed_status_ = why;
  } else if (posted.first != nullptr) {
    finished.failed.emplace_back(SliceList(*posted.first, *posted.last), why);
  }
  Account(1, posted.bytes);
}

// Whether the peer has got it is unknown, unless it has failed before.
void Endpoint::GiveUp(const SendQueue::Posted& posted, Finished& finished) {
  if (!posted.partial) {
    ForEach(posted.first, [&](Slice& slice) {
      polling_.AssertHeld();
      if (&slice == failed_) {
        failed_ = nullptr;
        finished.failed.emplace_back(SliceList(slice, slice), failed_status_);
      } else {
        flushed_.PushBack(slice);
      }
    });
  }
  Account(1, posted.bytes);
}

// The last that is done for work requests: who finds the endpoint quiet finds
// everything in its place, if only in the hands of a poller.
void Endpoint::Account(uint32_t work_requests, uint64_t bytes) {
  in_flight_bytes_ -= bytes;
  // Only the poller changes it.
  completed_.store(completed_.load(std::memory_order_relaxed) + work_requests,
                   std::memory_order_relaxed);
  in_flight_ -= work_requests;
}

void Endpoint::GiveBack(Finished finished) {
  host_.FinishAll(std::move(finished.done), absl::OkStatus());
  for (auto& [slices, why] : finished.failed) {
    host_.FinishAll(std::move(slices), why);
  }
}

}  // namespace te::rdma
