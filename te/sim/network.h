#ifndef TE_SIM_NETWORK_H_
#define TE_SIM_NETWORK_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "te/base/clock.h"
#include "te/sim/event_queue.h"
#include "te/sim/nic_timeline.h"
#include "te/sim/sim_slice.h"

namespace te::sim {

struct NetworkOptions {
  uint32_t hosts = 2;
  // Of each rail of a host, in bytes per second.
  std::vector<double> nic_rates = std::vector<double>(8, 50e9);
  // From a NIC to a switch, and from there to a NIC.
  Duration hop_latency = std::chrono::microseconds(1);
  // From a completion until somebody at the initiator sees it.
  Duration reaction_time = std::chrono::microseconds(1);
  // A slice that was lost is reported so long after, as the device has tried it
  // again and again.
  Duration detection_time = std::chrono::milliseconds(20);
  // The same where it is the initiator's own port that has gone down, of which
  // the device tells.
  Duration port_event_time = std::chrono::milliseconds(1);
};

// Hosts with a NIC for each rail; those of one rail are on one switch, which
// has room for all of them. A NIC has a queue for what it sends and one for
// what it gets, both in order and both served at its rate. Cut-through: a slice
// goes out of one while it comes in at the other. The receiver's queue stands
// for those of the switch and, where the network is lossless, for what is held
// back on the way; it has no bound, and a slice in it holds up none of its
// sender's for others. Requests of READs, and acknowledgements, are small and
// overtake.
class Network {
 public:
  Network(const NetworkOptions& options, EventQueue& events);
  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;

  const NetworkOptions& options() const { return options_; }
  size_t rails() const { return options_.nic_rates.size(); }
  // For faults, before anything is posted.
  NicTimeline& timeline(uint32_t host, size_t rail) {
    return NicOf(host, rail).timeline;
  }

  // Sends the slice over its rail. There will be one event kDone or kLost.
  void Post(SimSlice& slice);
  void RequestArrived(SimSlice& slice);
  void DataArrived(SimSlice& slice);
  // What the NIC has in its queues is lost, from now on.
  void Cut(uint32_t host, size_t rail);

  // How long a slice has waited at most where it was to be received.
  Duration longest_wait() const { return longest_wait_; }
  void ForgetLongestWait() { longest_wait_ = {}; }

 private:
  struct Nic {
    NicTimeline timeline;
    // Until when its queues keep it busy.
    MonotonicTime sending_until;
    MonotonicTime receiving_until;
  };

  Nic& NicOf(uint32_t host, size_t rail) {
    return nics_[host * rails() + rail];
  }
  Duration one_way() const { return 2 * options_.hop_latency; }
  // Puts it into the queue for sending of a host.
  void Send(SimSlice& slice, uint32_t host);
  // It was lost at a NIC of `host`.
  void Lose(SimSlice& slice, MonotonicTime at, uint32_t host);

  const NetworkOptions options_;
  EventQueue& events_;
  std::vector<Nic> nics_;
  Duration longest_wait_{};
};

}  // namespace te::sim

#endif  // TE_SIM_NETWORK_H_
