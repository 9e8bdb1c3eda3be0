#ifndef TE_CORE_RAIL_SET_H_
#define TE_CORE_RAIL_SET_H_

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "te/base/baton.h"
#include "te/base/clock.h"
#include "te/base/memory_location.h"
#include "te/base/mutex.h"
#include "te/base/task_queue.h"
#include "te/core/rail_model.h"
#include "te/core/rail_scheduler.h"
#include "te/core/short_traffic.h"
#include "te/core/slice_queue.h"
#include "te/transport/slice.h"
#include "te/transport/slice_list.h"
#include "te/transport/transport.h"

namespace te {

// All rails of a transport to one peer as one, which sends each slice over that
// of them that RailScheduler chooses, in the order of SliceQueue, and no more
// at a time than the rails can use. Thread-safe.
//
// Slices wait here, in a queue that whoever posts drives, or whoever sees
// completions; a thread that finds another one at it leaves its work there. A
// slice that a rail gives back goes back to its owner, who may post it again.
//
// It has failed when none of its rails works, or can be set up. Like other
// rails it must be closed before it is let go of.
class RailSet final : public Rail,
                      private CompletionSink,
                      public std::enable_shared_from_this<RailSet> {
 public:
  // `rails` is not empty. `short_traffic` is that of the engine. `timers` runs
  // what waits for nobody, and outlives the use of the set, which its tasks may
  // hold.
  RailSet(Rails rails, const RailScheduler::Options& options,
          std::shared_ptr<ShortTraffic> short_traffic, TaskQueue& timers);

  State state() const override;
  // What a rail carries in the time of its latency, at its least: a slice holds
  // up no short request for longer than that takes by itself. While such are
  // about, half of that.
  SliceAdvice slice_advice() const override;
  void Post(absl::Span<Slice* const> slices) override;
  Progress Poll() override;
  void BeginPolling() override;
  void EndPolling() override;
  void Withdraw(absl::FunctionRef<bool(const Slice&)> matches,
                const absl::Status& status) override;
  void Close(const absl::Status& why) override;
  absl::Status health() const override;
  std::string limits() const override { return members_[0]->rail->limits(); }
  bool Reaches(absl::string_view key) const override {
    return members_[0]->rail->Reaches(key);
  }
  std::string name() const override;

 private:
  // Slices that go to a rail at a time.
  static constexpr size_t kGroup = 64;

  // For RailModel::Learn.
  struct Lesson {
    RailModel::Mark mark;
    uint64_t carried = 0;
    MonotonicTime completed_at;
  };

  // A rail. What threads other than the driver change stands on lines of its
  // own.
  struct Member {
    std::shared_ptr<Rail> rail;
    // The driver's: what it is about to post, and that in bytes.
    std::vector<Slice*> group;
    uint64_t group_bytes = 0;
    // As it was seen lately.
    State state = State::kReady;
    // Until when it may take to get ready before another one is asked to.
    MonotonicTime patience;
    // Of `failed` and `given_back`, what has been told to the scheduler.
    uint64_t failed_seen = 0;
    uint64_t given_back_seen = 0;

    // Bytes that were ever posted to the rail.
    std::atomic<uint64_t> posted{0};
    // If others wait and so many came back, the driver is called.
    std::atomic<uint64_t> refill_at{0};
    // Bytes that ever came back; and those of them that did undone, for a fault
    // of the rail's and for none.
    alignas(64) std::atomic<uint64_t> returned{0};
    std::atomic<uint64_t> failed{0};
    std::atomic<uint64_t> given_back{0};
    // A completion of which somebody has taken note, for the driver.
    Baton noting;
    std::optional<Lesson> lesson ABSL_GUARDED_BY(noting);

    bool under_way() const { return posted != returned; }
  };
  // Slices that the same rails are near to.
  struct Class {
    uint64_t near_rails = 0;
    SliceQueue queue;
    // Whether the driver has just sent some.
    bool sent = false;
  };
  struct Place {
    MemoryLocation location;
    size_t of_class = 0;
  };

  void Done(Slice& slice, absl::Status status) override;

  static void Note(Member& member, const Slice& slice);
  void Drive();
  void DriveOnce() ABSL_EXCLUSIVE_LOCKS_REQUIRED(driving_);
  void CountReturned(size_t member, MonotonicTime now)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(driving_);
  // Returns whether any rail may be posted to.
  bool LookAtStates(MonotonicTime now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(driving_);
  void NotePathBytes() ABSL_EXCLUSIVE_LOCKS_REQUIRED(driving_);
  void Sort() ABSL_EXCLUSIVE_LOCKS_REQUIRED(driving_);
  Class& ClassOf(MemoryLocation location)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(driving_);
  void Fill(MonotonicTime now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(driving_);
  Duration TimeLeft(MonotonicTime now) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(driving_);
  bool SendNext(Class& of, Duration time_left, bool bulk_too)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(driving_);
  void Send(Class& of, size_t rail, bool alone, MonotonicTime now)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(driving_);
  void Flush(Member& member) ABSL_EXCLUSIVE_LOCKS_REQUIRED(driving_);
  void PrepareMore(const Class& of, MonotonicTime now)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(driving_);
  void SetWaiting() ABSL_EXCLUSIVE_LOCKS_REQUIRED(driving_);
  void Tick();
  bool IsWaiting() const ABSL_EXCLUSIVE_LOCKS_REQUIRED(driving_);
  bool IsUnderWay() const;
  SliceList TakeAll() ABSL_EXCLUSIVE_LOCKS_REQUIRED(driving_);
  void SetFailed(const absl::Status& why);
  absl::Status NoRailWorks() const;

  const Duration tight_time_;
  const std::shared_ptr<ShortTraffic> short_traffic_;
  TaskQueue& timers_;
  std::vector<std::unique_ptr<Member>> members_;

  SliceInbox inbox_;
  // Threads in Drive.
  std::atomic<int> drivers_{0};
  // Slices wait for room on a rail.
  std::atomic<bool> waiting_{false};
  // There may be some: whoever drives is to look again.
  std::atomic<bool> room_{false};
  std::atomic<bool> ticking_{false};
  // What a rail holds on its way.
  std::atomic<uint32_t> path_bytes_{0};

  Baton driving_;
  RailScheduler scheduler_ ABSL_GUARDED_BY(driving_);
  std::vector<Class> classes_ ABSL_GUARDED_BY(driving_);
  // Known locations.
  std::vector<Place> places_ ABSL_GUARDED_BY(driving_);
  MonotonicTime states_seen_at_ ABSL_GUARDED_BY(driving_);
  // The class that is served first next time.
  size_t first_class_ ABSL_GUARDED_BY(driving_) = 0;
  // What rails gave back within Post, for its owners: they must not be called
  // while somebody drives, as they may want to withdraw something.
  struct Return {
    Slice* slice;
    absl::Status status;
  };
  std::vector<Return> returns_ ABSL_GUARDED_BY(driving_);
  // Those that are done, which is most of them: that allocates nothing.
  SliceList done_ ABSL_GUARDED_BY(driving_);
  // Who is calling a rail with the baton.
  std::atomic<std::thread::id> poster_;

  std::atomic<bool> failed_{false};
  mutable Mutex mutex_;
  absl::Status health_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace te

#endif  // TE_CORE_RAIL_SET_H_
