#ifndef TE_CORE_RAIL_SCHEDULER_H_
#define TE_CORE_RAIL_SCHEDULER_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

#include "te/base/clock.h"
#include "te/core/rail_model.h"
#include "te/core/short_traffic.h"

namespace te {

// What is to be sent next.
struct RailDemand {
  uint64_t bytes = 0;
  // What waits in all, these bytes among it.
  uint64_t backlog = 0;
  // Short requests, and what is owed, need not wait for a window.
  bool bulk = true;
  // The rails whose NIC is near to the memory: bit i is rail i.
  uint64_t near_rails = UINT64_MAX;
};

// Chooses among the rails to one peer. Used by one thread at a time, without
// I/O and with the caller's clock: the engine and the simulator share it.
//
// A slice goes to the rail that is expected to complete it first: what is under
// way there and the slice itself, over the measured rate, plus the latency, and
// all of that a few times over if the NIC is far from the memory. If that rail
// is full, another one gets the slice only if it will have done its part before
// all that waits is done: a slow rail at work must not be what everybody waits
// for in the end, and an idle one is of no use.
class RailScheduler {
 public:
  static constexpr size_t kMaxRails = 64;

  struct Options {
    RailModelOptions model;
    // Expected times over a far NIC are multiplied by that.
    double far_factor = 4;
    // From so many bytes under way over all rails together nothing more is.
    uint64_t max_in_flight = uint64_t{256} << 20;
    // How long after a short request, to any peer, others keep less under way,
    // so as not to hold up the next one.
    Duration tight_time = std::chrono::milliseconds(10);
  };

  RailScheduler()
      : RailScheduler(Options(), std::make_shared<ShortTraffic>()) {}
  // `short_traffic`: that of all schedulers with the same NICs.
  RailScheduler(const Options& options,
                std::shared_ptr<ShortTraffic> short_traffic)
      : options_(options), short_traffic_(std::move(short_traffic)) {}

  // Returns its number. At most kMaxRails.
  size_t AddRail(uint64_t link_rate);
  size_t size() const { return rails_.size(); }
  const RailModel& rail(size_t rail) const { return rails_[rail].model; }

  enum class Use : uint8_t {
    kNone,
    kOneSlice,  // at a time: nobody knows yet whether it works
    kFull,
  };
  // What a rail can be used for; all of them for anything at first.
  void SetUse(size_t rail, Use use) { rails_[rail].use = use; }
  // Something outside says that the rail may work again: no more pause.
  void Revive(size_t rail) { rails_[rail].model.Revive(); }
  // Whether it gets one slice at a time.
  bool IsTried(size_t rail) const {
    return rails_[rail].use == Use::kOneSlice || rails_[rail].model.on_trial();
  }
  // Whether it may get something for what it has shown so far.
  bool IsTrusted(size_t rail, MonotonicTime now) const;

  // The rail for the next slice; none: wait, for a completion if anything is
  // under way.
  std::optional<size_t> Choose(const RailDemand& demand, MonotonicTime now);

  RailModel::Mark Posted(size_t rail, uint64_t bytes, MonotonicTime now) {
    return rails_[rail].model.Posted(bytes, now);
  }
  void Completed(size_t rail, uint64_t bytes, const RailModel::Mark& mark,
                 MonotonicTime now) {
    rails_[rail].model.Completed(bytes, mark, now, options_.model);
  }
  // The same in two steps; see RailModel.
  void Completed(size_t rail, uint64_t bytes, MonotonicTime now) {
    rails_[rail].model.Completed(bytes, now);
  }
  void Learn(size_t rail, const RailModel::Mark& mark, uint64_t carried,
             MonotonicTime completed_at) {
    rails_[rail].model.Learn(mark, carried, completed_at, options_.model);
  }
  void GivenBack(size_t rail, uint64_t bytes) {
    rails_[rail].model.GivenBack(bytes);
  }
  void Failed(size_t rail, uint64_t bytes, MonotonicTime now) {
    rails_[rail].model.Failed(bytes, now, options_.model);
  }

  // Of all usable rails, in bytes per second; 0 if nothing is known.
  double total_rate(MonotonicTime now) const;
  // What one of them holds on its way, on average, in bytes; 0 if nothing is
  // known.
  double path_bytes() const;

 private:
  struct State {
    RailModel model;
    Use use = Use::kFull;
  };
  struct Outlook;

  void Look(const RailDemand& demand, MonotonicTime now,
            Outlook& outlook) const;
  static bool MayServe(const State& rail, double rate, MonotonicTime now);
  bool HasRoom(const State& rail, const RailDemand& demand,
               MonotonicTime now) const;
  // `any`: whether there is a rail that may serve, be it full.
  std::optional<size_t> ChooseAmong(const RailDemand& demand, MonotonicTime now,
                                    bool doubtful_too, bool& any);

  // Whether windows are tight.
  bool tight(MonotonicTime now) const {
    return short_traffic_->IsAbout(now, options_.tight_time);
  }

  Options options_;
  const std::shared_ptr<ShortTraffic> short_traffic_;
  std::vector<State> rails_;
  // With whom the search for the next one begins: of several that are as good,
  // each is to have its share, at this engine and at its neighbours.
  size_t next_ = 0;
};

}  // namespace te

#endif  // TE_CORE_RAIL_SCHEDULER_H_
