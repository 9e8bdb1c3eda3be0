#ifndef TE_CORE_RAIL_MODEL_H_
#define TE_CORE_RAIL_MODEL_H_

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>

#include "te/base/clock.h"

namespace te {

// How rails are judged. Times are of the clock that the caller shows.
struct RailModelOptions {
  // Bytes under way on a rail, between which its window adapts. In any case a
  // slice may wait behind another, so that the rail is busy.
  uint64_t min_window = 384 << 10;
  uint64_t max_window = 64 << 20;
  // The window is what the rail carries in twice its latency and this: it
  // bridges the time until somebody sees a completion, and lets an estimate
  // that is too low double each time.
  Duration slack = std::chrono::microseconds(200);
  // While short requests are about, which would wait behind it: once its
  // latency and this.
  Duration tight_slack = std::chrono::microseconds(5);
  // The largest rate of two such times in a row counts.
  Duration sample_time = std::chrono::milliseconds(10);
  // What was measured is forgotten if nothing confirms it for so long.
  Duration memory = std::chrono::seconds(1);
  // After a failure a rail gets nothing for a while, which doubles with each
  // further failure. Each failure counts half after `forgiveness`.
  Duration first_pause = std::chrono::milliseconds(10);
  Duration longest_pause = std::chrono::seconds(5);
  Duration forgiveness = std::chrono::seconds(10);
};

// What is known of a rail from what it has carried: how fast it is, how late,
// and whether it works. Used by one thread at a time.
//
// The rate is estimated as BBR does (Cardwell et al., "BBR: Congestion-Based
// Congestion Control", ACM Queue 14-5, 2016): each slice tells how much the
// rail has carried between its posting and its completion, which is no more
// than it can; the largest such rate of late counts. What a slice takes that
// has the rail for itself is its latency; once in a while a few are sent that
// way, of which the one in the middle counts. That is how long it takes until
// somebody sees a completion; what the path itself takes is nearer to the
// least.
class RailModel {
 public:
  // With no more than that under way a slice is as good as alone.
  static constexpr uint64_t kFewBytes = 8 << 10;

  // What a slice remembers from its posting.
  struct Mark {
    // When it was posted; of a rail that was busy, some time before that, so
    // that completions that are seen late and together do not look fast.
    MonotonicTime since;
    // How much had been completed then; of a rail that was not busy, or was
    // under way.
    uint64_t carried = 0;
    // Next to nothing else was under way then.
    bool alone = false;
  };

  // `link_rate`: bytes per second at most; 0 if that is not known.
  explicit RailModel(uint64_t link_rate = 0)
      : link_rate_(static_cast<double>(link_rate)) {}

  // --- What happens. ---

  Mark Posted(uint64_t bytes, MonotonicTime now);
  void Completed(uint64_t bytes, const Mark& mark, MonotonicTime now,
                 const RailModelOptions& options) {
    Completed(bytes, now);
    // Less, if what was ahead is late, or has failed.
    if (carried_ >= mark.carried + bytes) {
      Learn(mark, carried_ - mark.carried, now, options);
    }
  }
  // The same in two steps, of which not every slice needs the second: what has
  // been `carried` since its mark.
  void Completed(uint64_t bytes, MonotonicTime now);
  void Learn(const Mark& mark, uint64_t carried, MonotonicTime completed_at,
             const RailModelOptions& options);
  // So many bytes came back undone, which is no fault of the rail's.
  void GivenBack(uint64_t bytes) { in_flight_ -= bytes; }
  // The same, and it is. What fails at the same time is one failure.
  void Failed(uint64_t bytes, MonotonicTime now,
              const RailModelOptions& options);
  // Something outside says that it may work again.
  void Revive() { paused_until_ = {}; }

  // --- What to expect. ---

  uint64_t in_flight() const { return in_flight_; }
  // Bytes per second; 0 if nothing is known. Once it is old, what was measured
  // is forgotten, in favour of what the link should carry.
  double rate(MonotonicTime now, const RailModelOptions& options) const {
    const double measured = rate_ > last_rate_ ? rate_ : last_rate_;
    return measured > 0 && !stale(now, options) ? measured : link_rate_;
  }
  // Once it is old, less and less, so that a rail that was late once is tried
  // again.
  Duration latency(MonotonicTime now, const RailModelOptions& options) const {
    if (now - latency_began_ < 2 * options.memory) return latency_;
    const auto age = (now - latency_began_) / options.memory;
    return Duration(latency_.count() >> (age < 62 ? age : 62));
  }
  // What it holds on its way: as much as it carries in the time of its latency,
  // as both were known last. 0 if they never were.
  double path_bytes() const {
    return last_known_rate() *
           std::chrono::duration<double>(least_latency_).count();
  }
  // How many bytes may be under way; `tight`: while short requests are about.
  uint64_t window(bool tight, MonotonicTime now,
                  const RailModelOptions& options) const {
    // One waits behind another. What the link should carry is not known to be
    // what it does.
    const uint64_t two = longest_ + 1;
    if (stale(now, options)) {
      return tight ? two : std::max(two, options.min_window);
    }
    return tight ? std::max({two, tight_window_, path_window_ + longest_})
                 : std::max({two, options.min_window, window_});
  }
  // Whether one more slice may be.
  bool has_room(bool tight, MonotonicTime now,
                const RailModelOptions& options) const {
    if (in_flight_ == 0) return true;
    if (on_trial_ || in_flight_ >= window(tight, now, options)) return false;
    return in_flight_ <= kFewBytes || !IsTimeForSomeAlone(now, options);
  }
  // Until when it should get nothing.
  MonotonicTime paused_until() const { return paused_until_; }
  // Whether it is to show first that it works again, with one slice at a time.
  bool on_trial() const { return on_trial_; }
  // Whether what is under way takes far longer than it should.
  bool stuck(MonotonicTime now, double rate) const {
    return in_flight_ > 0 && now - waiting_since_ >= kHiccup &&
           IsFarBeyond(now, rate);
  }

 private:
  static constexpr size_t kSamples = 5;
  // So long any host may be held up.
  static constexpr Duration kHiccup = std::chrono::milliseconds(20);

  struct Stamp {
    MonotonicTime time;
    uint64_t carried = 0;
  };
  struct Alone {
    Duration elapsed{};
    uint64_t carried = 0;
  };

  // Or never measured.
  bool stale(MonotonicTime now, const RailModelOptions& options) const {
    return now - measured_at_ > options.memory;
  }
  void Measure(double rate, bool busy, MonotonicTime now,
               const RailModelOptions& options);
  // The last that was known, however old that is.
  double last_known_rate() const {
    if (measured_at_ == MonotonicTime()) return link_rate_;
    return rate_ > last_rate_ ? rate_ : last_rate_;
  }
  bool IsTimeForSomeAlone(MonotonicTime now,
                          const RailModelOptions& options) const;
  void UpdateLatency();
  void UpdateWindows(const RailModelOptions& options);
  bool IsFarBeyond(MonotonicTime now, double rate) const;
  Duration LatencyOf(const Alone& slice) const;
  void MeasureLatency(const Alone& slice, MonotonicTime now,
                      const RailModelOptions& options);

  // Bytes per second; 0: unknown.
  double link_rate_;
  uint64_t in_flight_ = 0;
  uint64_t carried_ = 0;
  // Two times at which something was completed, or the rail began to be busy,
  // which it has been since.
  Stamp stamp_;
  Stamp last_stamp_;
  // Of the slices of late, the longest.
  uint64_t longest_ = 0;
  // The largest rates of this sample time and the last one.
  double rate_ = 0;
  double last_rate_ = 0;
  MonotonicTime sample_began_;
  MonotonicTime measured_at_;
  // Of the last slices that were alone, in the middle and the least; since
  // latency_began_ there were `alone_` of them.
  Duration latency_{};
  Duration least_latency_{};
  MonotonicTime latency_began_;
  int alone_ = 0;
  // A ring.
  std::array<Alone, kSamples> samples_;
  size_t sampled_ = 0;
  // What follows from rate and latency: what the rail carries in the time of
  // its latency, and in those for which windows are meant to last.
  uint64_t path_window_ = 0;
  uint64_t window_ = 0;
  uint64_t tight_window_ = 0;
  // Since when nothing has completed, or something was posted to an idle rail.
  MonotonicTime waiting_since_;
  // As of failed_at_.
  double failures_ = 0;
  MonotonicTime failed_at_;
  MonotonicTime paused_until_;
  // Nothing has succeeded since the last failure.
  bool on_trial_ = false;
};

}  // namespace te

#endif  // TE_CORE_RAIL_MODEL_H_
