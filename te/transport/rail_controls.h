#ifndef TE_TRANSPORT_RAIL_CONTROLS_H_
#define TE_TRANSPORT_RAIL_CONTROLS_H_

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "te/base/clock.h"
#include "te/base/mutex.h"

namespace te {

// How a rail of ShapedTransport behaves. The default is a perfect one.
struct RailShape {
  // 0: whatever what is beneath carries.
  uint64_t bytes_per_second = 0;
  Duration latency{};
  // Up to so much more for each slice, at random: slices overtake each other.
  Duration jitter{};
  // Down: nothing goes, and what was under way comes back as UNAVAILABLE.
  bool cut = false;
  // Nothing moves, and nobody is told.
  bool stalled = false;
  // Not 0: the rail is down in the second half of every such time.
  Duration flap_period{};
  // How probable it is that a slice is never carried, and comes back as
  // UNAVAILABLE; that it is carried, and comes back so all the same; that it
  // comes back as NOT_FOUND, as if the peer had unregistered its buffer.
  double loss = 0;
  double lost_acknowledgement = 0;
  double stale_key = 0;

  bool IsDown(MonotonicTime now) const;
  // When IsDown may change by itself; kNoDeadline if it does not.
  MonotonicTime NextFlap(MonotonicTime now) const;
};

// Who is told that a shape has changed. Thread-safe.
class RailShapeListener {
 public:
  virtual ~RailShapeListener() = default;
  // Must not block.
  virtual void OnShapeChange() = 0;
};

// The shapes of a host's rails, number i of each peer's, as a test or a
// simulation changes them while transports run, and their randomness.
// Thread-safe. Outlives the transports, one after the other, that it is for.
class RailControls {
 public:
  struct Options {
    size_t rails = 4;
    uint32_t seed = 1;
    // From a fault until the slices that it hits come back.
    Duration detection_time = std::chrono::milliseconds(20);
    // What setting up a rail takes.
    Duration preparation_time = std::chrono::milliseconds(5);
    // All rails but one are idle until they are asked for.
    bool idle_at_first = true;
  };

  // What becomes of a slice.
  struct Fate {
    enum class Outcome { kCarried, kLost, kUnacknowledged, kStaleKey };
    Outcome outcome = Outcome::kCarried;
    // Besides the time that its bytes take.
    Duration delay{};
  };

  explicit RailControls(const Options& options)
      : options_(options), shapes_(options.rails), random_(options.seed) {}

  const Options& options() const { return options_; }

  RailShape shape(size_t rail) const {
    MutexLock lock(mutex_);
    return shapes_[rail];
  }
  void Set(size_t rail, const RailShape& shape) {
    Change(rail, [&shape](RailShape& now) { now = shape; });
  }
  void Change(size_t rail, absl::FunctionRef<void(RailShape&)> change);
  // Makes all rails perfect.
  void Calm();

  // For the transport.
  Fate NextFate(size_t rail);
  void AddListener(std::weak_ptr<RailShapeListener> listener);

 private:
  void Tell();

  const Options options_;
  mutable Mutex mutex_;
  std::vector<RailShape> shapes_ ABSL_GUARDED_BY(mutex_);
  std::mt19937 random_ ABSL_GUARDED_BY(mutex_);
  std::vector<std::weak_ptr<RailShapeListener>> listeners_
      ABSL_GUARDED_BY(mutex_);
};

}  // namespace te

#endif  // TE_TRANSPORT_RAIL_CONTROLS_H_
