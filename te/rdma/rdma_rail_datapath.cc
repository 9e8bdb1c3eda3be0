// What a rail does for each slice.

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "te/rdma/rdma_rail.h"

namespace te::rdma {

void RdmaRail::Post(absl::Span<Slice* const> slices) {
  if (slices.empty()) return;
  if (!HaveKeys(slices)) return PostThoseWithKeys(slices);
  unfinished_ += slices.size();
  inbox_.Push(slices);
  Drive();
}

bool RdmaRail::HaveKeys(absl::Span<Slice* const> slices) const {
  return std::all_of(slices.begin(), slices.end(), [this](const Slice* slice) {
    return slice->remote_key.size() >= key_bytes_;
  });
}

void RdmaRail::PostThoseWithKeys(absl::Span<Slice* const> slices) {
  SliceList wrong;
  unfinished_ += slices.size();
  for (Slice* const& slice : slices) {
    if (HaveKeys({&slice, 1})) {
      inbox_.Push({&slice, 1});
    } else {
      wrong.PushBack(*slice);
    }
  }
  Drive();
  FinishAll(std::move(wrong),
            absl::NotFoundError(absl::StrCat(
                "segment ", peer_,
                " has told no keys for this buffer; refresh the segment")));
}

// Whoever has left slices, or made room, calls it. If another thread is here,
// it will look again.
void RdmaRail::Drive() {
  do {
    if (!driving_.TryTake()) return;
    look_again_ = false;
    pending_.Append(inbox_.TakeAll());
    SliceList stuck;
    absl::Status why;
    // The transport may be gone if it has failed.
    if (failed_) {
      stuck.Append(std::move(pending_));
      why = health();
    } else if (Serves()) {
      Send();
    } else if (!pending_.empty() || wanted_) {
      why = AwaitConnection(stuck);
    }
    driving_.Pass();
    // Now: with the last one the rail may go.
    if (!stuck.empty()) FinishAll(std::move(stuck), why);
  } while (look_again_ || !inbox_.empty());
}

// As much as there is room for. What a connection that breaks refuses stays,
// until it is found broken.
void RdmaRail::Send() {
  SliceList refused;
  // A queue pair takes a chain at a time.
  while (!pending_.empty() && endpoint_.usable() &&
         endpoint_.HasRoomFor(*pending_.front())) {
    endpoint_.Add(pending_);
    endpoint_.Ring(refused);
  }
  pending_.Append(std::move(refused));
}

// Has a connection made, unless one is coming. If there is none to hope for
// now, `stuck` gets what is pending, and the result is why.
absl::Status RdmaRail::AwaitConnection(SliceList& stuck) {
  if (CanOpen(RealClock().Now())) {
    phase_ = Phase::kOpening;
    session_.ScheduleOpening(*this, session_.HasReadyRailBeside(*this)
                                        ? EndpointStore::Need::kSpare
                                        : EndpointStore::Need::kRequired);
    return absl::OkStatus();
  }
  if (phase_ != Phase::kClosed && NicIsUsable()) return absl::OkStatus();
  wanted_ = false;
  stuck.Append(std::move(pending_));
  const absl::Status why = why_down();
  return absl::UnavailableError(
      absl::StrCat("no RDMA path from ", device_, " to ", peer_, ": ",
                   why.ok() ? "it could not be used just now" : why.message()));
}

SliceList RdmaRail::TakeUnsent() {
  SliceList unsent = std::move(pending_);
  unsent.Append(inbox_.TakeAll());
  return unsent;
}

Progress RdmaRail::Poll() {
  return endpoint_.quiet() ? Progress::kIdle : endpoint_.Poll();
}

void RdmaRail::Withdraw(absl::FunctionRef<bool(const Slice&)> matches,
                        const absl::Status& status) {
  SliceList withdrawn;
  driving_.Take();
  SliceList unsent = TakeUnsent();
  while (!unsent.empty()) {
    Slice& slice = unsent.PopFront();
    (matches(slice) ? withdrawn : pending_).PushBack(slice);
  }
  driving_.Pass();
  FinishAll(std::move(withdrawn), status);
  Drive();
}

void RdmaRail::FinishAll(SliceList slices, const absl::Status& status) {
  uint64_t count = 0;
  while (!slices.empty()) {
    Slice& slice = slices.PopFront();
    // It may be gone after Done.
    slice.sink->Done(slice, status);
    ++count;
  }
  // The rail may be gone after this line: its Close waits for it.
  unfinished_ -= count;
}

void RdmaRail::OnRoom() {
  TellWhoAwaitsProof();
  look_again_ = true;
  Drive();
}

}  // namespace te::rdma
