#include "te/sim/network.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <optional>

#include "te/base/clock.h"
#include "te/sim/event_queue.h"
#include "te/sim/nic_timeline.h"
#include "te/sim/sim_slice.h"
#include "te/transport/slice.h"

namespace te::sim {

Network::Network(const NetworkOptions& options, EventQueue& events)
    : options_(options), events_(events) {
  nics_.reserve(options_.hosts * rails());
  for (uint32_t host = 0; host < options_.hosts; ++host) {
    for (const double rate : options_.nic_rates) {
      nics_.push_back({.timeline = NicTimeline(rate)});
    }
  }
}

void Network::Post(SimSlice& slice) {
  if (slice.operation == Operation::kWrite) {
    Send(slice, slice.initiator);
    return;
  }
  const MonotonicTime now = events_.now();
  if (NicOf(slice.initiator, slice.rail).timeline.CutDuring(now, now)) {
    Lose(slice, now, slice.initiator);
    return;
  }
  events_.Push(now + one_way(), EventKind::kRequestArrived, slice.rail_set,
               &slice);
}

void Network::RequestArrived(SimSlice& slice) { Send(slice, slice.peer); }

void Network::Send(SimSlice& slice, uint32_t host) {
  Nic& nic = NicOf(host, slice.rail);
  const MonotonicTime now = events_.now();
  const MonotonicTime start = std::max(now, nic.sending_until);
  const MonotonicTime finish = nic.timeline.Finish(start, slice.length);
  // The faults to come are known: so is what they will do to this slice.
  if (const auto cut = nic.timeline.CutDuring(now, finish)) {
    Lose(slice, *cut, host);
    return;
  }
  nic.sending_until = finish;
  slice.sent_at = finish;
  events_.Push(start + one_way(), EventKind::kDataArrived, slice.rail_set,
               &slice);
}

void Network::DataArrived(SimSlice& slice) {
  const bool write = slice.operation == Operation::kWrite;
  const uint32_t host = write ? slice.peer : slice.initiator;
  Nic& nic = NicOf(host, slice.rail);
  const MonotonicTime now = events_.now();
  const MonotonicTime start = std::max(now, nic.receiving_until);
  const MonotonicTime finish =
      std::max(nic.timeline.Finish(start, slice.length),
               DeadlineAfter(slice.sent_at, one_way()));
  if (const auto cut = nic.timeline.CutDuring(now, finish)) {
    Lose(slice, *cut, host);
    return;
  }
  nic.receiving_until = nic.timeline.Finish(start, slice.length);
  longest_wait_ = std::max(longest_wait_, start - now);
  const Duration back = write ? one_way() : Duration::zero();
  events_.Push(finish + back + options_.reaction_time, EventKind::kDone,
               slice.rail_set, &slice);
}

void Network::Lose(SimSlice& slice, MonotonicTime at, uint32_t host) {
  MonotonicTime reported_at = at + options_.detection_time;
  if (host == slice.initiator) {
    reported_at = std::min(reported_at, at + options_.port_event_time);
  }
  // One that fails takes all with it that are on the queue pair.
  MonotonicTime& breaks_at = slice.queue_pair->breaks_at;
  if (breaks_at > events_.now()) {
    breaks_at = std::min(breaks_at, reported_at);
  } else {
    breaks_at = reported_at;
  }
  events_.Push(breaks_at, EventKind::kLost, slice.rail_set, &slice);
}

void Network::Cut(uint32_t host, size_t rail) {
  Nic& nic = NicOf(host, rail);
  nic.sending_until = std::min(nic.sending_until, events_.now());
  nic.receiving_until = std::min(nic.receiving_until, events_.now());
}

}  // namespace te::sim
