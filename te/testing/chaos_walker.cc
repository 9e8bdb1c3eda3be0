#include "te/testing/chaos_walker.h"

#include <algorithm>
#include <chrono>
#include <cstring>
#include <numeric>
#include <optional>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "glog/logging.h"
#include "te/base/stale_peer.h"
#include "te/base/status_macros.h"

namespace te {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr Duration kOpenTimeout = milliseconds(500);
// For what must work.
constexpr Duration kCalmOpenTimeout = seconds(10);
// What a batch may take beyond its timeout on a machine with much else to do.
constexpr Duration kGrace = seconds(20);
constexpr Duration kCalmTimeout = seconds(60);
constexpr size_t kMaxPieces = 16;

// What the faults explain. Everything else is a mistake of ours. OUT_OF_RANGE:
// an engine that has just started has not registered the buffer yet.
bool IsExpected(const absl::Status& status) {
  return absl::IsUnavailable(status) || absl::IsDeadlineExceeded(status) ||
         absl::IsCancelled(status) || absl::IsNotFound(status) ||
         absl::IsOutOfRange(status) || absl::IsAborted(status) ||
         IsStalePeer(status);
}

}  // namespace

ChaosWalker::ChaosWalker(std::vector<std::unique_ptr<ChaosNode>>& nodes,
                         size_t region, size_t block_size, uint32_t seed,
                         ChaosLog& log)
    : nodes_(nodes),
      region_(region),
      block_size_(block_size),
      log_(log),
      random_(seed) {
  for (size_t node = 0; node < nodes_.size(); ++node) {
    for (std::byte& byte : memory(node)) byte = std::byte(random_());
    shadows_.emplace_back(memory(node).begin(), memory(node).end());
  }
}

void ChaosWalker::WalkUntil(const std::atomic<bool>& stop, bool gentle) {
  constexpr Duration kTimeouts[] = {milliseconds(20), milliseconds(300),
                                    seconds(2), seconds(2)};
  calm_ = gentle;
  while (!stop && !log_.failed()) {
    Step(gentle ? kCalmTimeout : kTimeouts[Below(4)]);
  }
}

void ChaosWalker::WalkInCalm() {
  const MonotonicTime deadline = DeadlineAfter(RealClock().Now(), seconds(60));
  for (size_t from = 0; from < nodes_.size(); ++from) {
    for (size_t to = 0; to < nodes_.size(); ++to) {
      if (from == to) continue;
      const absl::Status status = Reach(from, to, deadline);
      if (!status.ok()) {
        log_.Fail(nodes_[from]->name(), " does not reach ", nodes_[to]->name(),
                  " although all is calm: ", status.ToString());
      }
    }
  }
  calm_ = true;
  for (int i = 0; i < 10 && !log_.failed(); ++i) Step(kCalmTimeout);
}

// Until a transfer works.
absl::Status ChaosWalker::Reach(size_t initiator, size_t target,
                                MonotonicTime deadline) {
  absl::Status status;
  do {
    const ChaosNode::Use use(*nodes_[initiator]);
    const auto segment =
        use.engine().OpenSegment(nodes_[target]->name(), kOpenTimeout);
    status = segment.status();
    if (!status.ok()) continue;
    status = use.engine().RefreshSegment(*segment, kOpenTimeout);
    if (!status.ok()) continue;
    const Request request =
        FenceRequest(Operation::kWrite, initiator, target, *segment);
    TE_ASSIGN_OR_RETURN(Batch batch, use.engine().Submit({&request, 1}));
    CHECK(batch.Wait(DeadlineAfter(RealClock().Now(), seconds(60))));
    status = batch.status();
    if (status.ok()) CheckFence(target, initiator);
  } while (!status.ok() && RealClock().Now() < deadline);
  return status;
}

size_t ChaosWalker::OtherThan(size_t node) {
  return (node + 1 + Below(nodes_.size() - 1)) % nodes_.size();
}

void ChaosWalker::Step(Duration timeout) {
  Submission submission;
  submission.initiator = Below(nodes_.size());
  submission.moves = ChooseMoves(submission.initiator);
  for (const Move& move : submission.moves) Refresh(move);
  if (Submit(submission, timeout)) Finish(submission);
  if (OneIn(8)) CheckAll();
}

// No block has two parts in a batch.
std::vector<ChaosWalker::Move> ChaosWalker::ChooseMoves(size_t initiator) {
  std::vector<size_t> sources(kSources);
  std::iota(sources.begin(), sources.end(), size_t{0});
  std::shuffle(sources.begin(), sources.end(), random_);
  std::vector<size_t> destinations = sources;
  std::shuffle(destinations.begin(), destinations.end(), random_);
  std::vector<Move> moves;
  for (size_t count = 1 + Below(kSources); count > 0; --count) {
    const size_t target = OtherThan(initiator);
    const bool read = OneIn(2);
    AddMoves({.operation = read ? Operation::kRead : Operation::kWrite,
              .from_node = read ? target : initiator,
              .to_node = read ? initiator : target,
              .from = BlockBegin(sources[count - 1]),
              .to = BlockBegin(kSources + destinations[count - 1])},
             moves);
  }
  return moves;
}

// Between two blocks: a long one, or some short ones.
void ChaosWalker::AddMoves(const Move& whole, std::vector<Move>& moves) {
  const size_t pieces = OneIn(2) ? 1 : 1 + Below(kMaxPieces);
  const size_t room = block_size_ / pieces;
  const size_t longest = OneIn(2) ? room : std::min<size_t>(room, 200);
  for (size_t i = 0; i < pieces; ++i) {
    Move move = whole;
    move.length = 1 + Below(longest);
    move.from += i * room + Below(room - move.length + 1);
    move.to += i * room + Below(room - move.length + 1);
    moves.push_back(move);
  }
}

// So that what arrives twice, or late, shows. Who has sent the bytes before is
// done with them, which ThreadSanitizer does not know, nor this of memcpy.
void ChaosWalker::Refresh(const Move& move) {
  std::byte* const now = memory(move.from_node).data() + move.from;
  std::byte* const shadow = shadows_[move.from_node].data() + move.from;
  uint64_t value = random_();
  for (size_t i = 0; i < move.length; ++i) {
    value = value * 6364136223846793005u + 1442695040888963407u;
    now[i] = shadow[i] = static_cast<std::byte>(value >> 56);
  }
}

bool ChaosWalker::Submit(Submission& submission, Duration timeout) {
  const ChaosNode::Use use(*nodes_[submission.initiator]);
  submission.generation = use.generation();
  std::vector<std::optional<SegmentId>> segments(nodes_.size());
  std::vector<Request> requests;
  for (const Move& move : submission.moves) {
    const bool read = move.operation == Operation::kRead;
    const size_t target = read ? move.from_node : move.to_node;
    std::byte* const from = memory(move.from_node).data() + move.from;
    std::byte* const to = memory(move.to_node).data() + move.to;
    if (!segments[target]) {
      const auto segment = use.engine().OpenSegment(
          nodes_[target]->name(), calm_ ? kCalmOpenTimeout : kOpenTimeout);
      if (!segment.ok()) {
        log_.Note(region_, ": ", nodes_[submission.initiator]->name(),
                  " opens: ", segment.status().ToString());
        if (calm_) log_.Fail("a segment cannot be opened although all is calm");
        return false;
      }
      segments[target] = *segment;
    }
    requests.push_back(
        {.operation = move.operation,
         .local = read ? to : from,
         .segment = *segments[target],
         .remote_address = reinterpret_cast<uint64_t>(read ? from : to),
         .length = move.length});
  }
  submission.finished = std::make_shared<std::atomic<int>>(0);
  SubmitOptions options;
  options.timeout = timeout;
  options.on_finished = [once = submission.finished, all = finished_] {
    ++*once;
    ++*all;
  };
  submission.due = DeadlineAfter(RealClock().Now(), timeout + kGrace);
  auto batch = use.engine().Submit(requests, options);
  if (!batch.ok()) {
    log_.Fail("a batch is refused: ", batch.status().ToString());
    return false;
  }
  submission.batch = *std::move(batch);
  for (const auto& node : nodes_) {
    submission.generations.push_back(node->generation());
  }
  log_.Note(region_, ": ", nodes_[submission.initiator]->name(), " submits ",
            requests.size(), " requests within ", timeout / milliseconds(1),
            " ms");
  return true;
}

void ChaosWalker::Finish(Submission& submission) {
  ++counts_.batches;
  const bool cancelled = !calm_ && OneIn(16);
  if (cancelled) submission.batch.Cancel();
  if (!submission.batch.Wait(submission.due)) {
    log_.Fail("a batch has not ended in time, of thread ", region_);
    // The memory is still in use, so there is no way to go on.
    LOG(FATAL) << log_.failure();
  }
  if (*submission.finished != 1) log_.Fail("on_finished was not called once");
  const absl::Status status = submission.batch.status();
  log_.Note(region_, ": ", status.ToString());
  if (!status.ok() && (calm_ || !IsExpected(status) ||
                       (!cancelled && absl::IsAborted(status)))) {
    log_.Fail("a batch of thread ", region_, " ended with ", status.ToString());
  }
  std::vector<bool> settled(nodes_.size(), false);
  for (size_t i = 0; i < submission.moves.size(); ++i) {
    const Move& move = submission.moves[i];
    const RequestResult result = submission.batch.result(i);
    const bool ok = result.status.ok();
    if (!result.local_reusable) log_.Fail("an ended request keeps its memory");
    if (ok && result.bytes != move.length) log_.Fail("a request lacks bytes");
    if (ok) {
      ++counts_.succeeded;
      counts_.bytes += move.length;
    } else {
      ++counts_.failed_with[result.status.code()];
    }
    // Of a READ that has ended nothing comes late, but of a WRITE that failed
    // something may still be on its way.
    if (!ok && move.operation == Operation::kWrite && !settled[move.to_node]) {
      Settle(submission, move.to_node);
      settled[move.to_node] = true;
    }
    Check(move, ok);
  }
}

// Makes sure that nothing of the batch can arrive at a node any more.
void ChaosWalker::Settle(const Submission& submission, size_t target) {
  for (int i = 0; i < 3 && OneIn(2); ++i) {
    if (Fence(submission, target)) return;
  }
  if (nodes_[target]->generation() != submission.generations[target]) return;
  const absl::Status status = nodes_[target]->RegisterAnew(region_);
  if (!status.ok()) {
    log_.Fail("thread ", region_,
              " cannot register its memory anew: ", status.ToString());
  }
}

// One byte.
Request ChaosWalker::FenceRequest(Operation operation, size_t initiator,
                                  size_t target, SegmentId segment) {
  const bool read = operation == Operation::kRead;
  std::byte* const remote = memory(target).data();
  return {.operation = operation,
          .local = memory(initiator).data() + (read ? 1 : 0),
          .segment = segment,
          .remote_address = reinterpret_cast<uint64_t>(remote + (read ? 0 : 1)),
          .length = 1};
}

// Such a byte may have arrived.
void ChaosWalker::CheckFence(size_t node, size_t source) {
  const std::byte now = memory(node)[1];
  if (now == shadows_[source][0]) shadows_[node][1] = now;
}

// What the same engine sent before does not come after what it sends now.
bool ChaosWalker::Fence(const Submission& submission, size_t target) {
  const ChaosNode::Use use(*nodes_[submission.initiator]);
  if (use.generation() != submission.generation) return false;
  const auto segment =
      use.engine().OpenSegment(nodes_[target]->name(), kOpenTimeout);
  if (!segment.ok()) return false;
  const Request request =
      FenceRequest(Operation::kRead, submission.initiator, target, *segment);
  SubmitOptions options;
  options.timeout = milliseconds(300);
  auto batch = use.engine().Submit({&request, 1}, options);
  if (!batch.ok()) return false;
  CHECK(batch->Wait(DeadlineAfter(RealClock().Now(), kGrace)));
  CheckFence(submission.initiator, target);
  return batch->status().ok();
}

// Of what failed, each byte is old or new.
void ChaosWalker::Check(const Move& move, bool succeeded) {
  const std::byte* const now = memory(move.to_node).data() + move.to;
  const std::byte* const source = shadows_[move.from_node].data() + move.from;
  std::byte* const shadow = shadows_[move.to_node].data() + move.to;
  if (!succeeded) {
    for (size_t i = 0; i < move.length; ++i) {
      if (now[i] == source[i]) shadow[i] = source[i];
    }
  } else {
    std::copy_n(source, move.length, shadow);
  }
  const size_t wrong = static_cast<size_t>(
      std::mismatch(now, now + move.length, shadow).first - now);
  if (wrong == move.length) return;
  log_.Fail("byte ", wrong, " of ", move.length, " at ",
            nodes_[move.to_node]->name(), " ", move.to, " of thread ", region_,
            " is wrong; succeeded: ", succeeded);
}

void ChaosWalker::CheckAll() {
  for (size_t node = 0; node < nodes_.size(); ++node) {
    const auto now = memory(node);
    const auto& shadow = shadows_[node];
    if (memcmp(now.data(), shadow.data(), now.size()) == 0) continue;
    const auto wrong =
        std::mismatch(now.begin(), now.end(), shadow.begin()).first -
        now.begin();
    log_.Fail("something wrote to byte ", wrong, " of thread ", region_, " at ",
              nodes_[node]->name());
  }
}

void ChaosWalker::CheckEnd() {
  CheckAll();
  if (*finished_ != counts_.batches) {
    log_.Fail("on_finished was called ", finished_->load(), " times for ",
              counts_.batches, " batches");
  }
}

}  // namespace te
