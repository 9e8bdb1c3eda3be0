#ifndef TE_TRANSPORT_SHAPED_RAILS_H_
#define TE_TRANSPORT_SHAPED_RAILS_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/types/span.h"
#include "te/base/clock.h"
#include "te/base/mutex.h"
#include "te/transport/rail_controls.h"
#include "te/transport/slice.h"
#include "te/transport/transport.h"

namespace te {

// The rails of ShapedTransport to one peer, all over one rail beneath, which
// moves the bytes. Slices wait here for their time, and for a fault's; what has
// gone to the rail beneath is waited for, whatever has become of its rail here,
// so that it cannot touch memory later. Thread-safe; no lock is held in calls
// to the rail beneath, or to sinks.
class ShapedRails final : private CompletionSink,
                          public std::enable_shared_from_this<ShapedRails> {
 public:
  // `inner` are the rails beneath, of which the first one is used. `wake` has
  // the transport's thread call Move; it does not block.
  ShapedRails(Rails inner, std::shared_ptr<RailControls> controls,
              std::function<void()> wake);
  // Closes it.
  ~ShapedRails();

  // One for each shape.
  static Rails MakeRails(const std::shared_ptr<ShapedRails>& self);

  // Does what is due; returns when something will be. One thread's.
  MonotonicTime Move(MonotonicTime now);

  // What the rails do.
  Rail& inner() const { return *inner_.front(); }
  Rail::State state(size_t rail);
  void Prepare(size_t rail);
  void Post(size_t rail, absl::Span<Slice* const> slices);
  void Withdraw(size_t rail, absl::FunctionRef<bool(const Slice&)> matches,
                const absl::Status& status);
  void Close(const absl::Status& why);
  absl::Status health() const;

 private:
  // What is to become of a slice, at some time.
  struct Event {
    Slice* slice;
    // Goes to the rail beneath; else it comes back, with `status`.
    bool carry;
    // Comes back although its rail is stalled.
    bool always = false;
    absl::Status status;
  };
  struct Pipe {
    // As it was seen last.
    RailShape shape;
    Rail::State state = Rail::State::kReady;
    // When it is, if it is being set up.
    MonotonicTime ready_at;
    // When it last went down, and how often it did.
    MonotonicTime down_at;
    uint64_t falls = 0;
    // What is to be sent, how much of the first one has been, and until when
    // that holds.
    std::deque<Slice*> queue;
    double sent = 0;
    MonotonicTime sent_at;
    std::multimap<MonotonicTime, Event> events;
  };
  // A slice that is not back.
  struct Posted {
    CompletionSink* sink;
    size_t rail;
    uint64_t falls = 0;
    bool acknowledged = true;
  };
  using Returned = std::vector<std::pair<Slice*, absl::Status>>;

  void Done(Slice& slice, absl::Status status) override;

  Pipe& Update(size_t rail, MonotonicTime now)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Fall(Pipe& pipe, MonotonicTime now)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Send(size_t rail, MonotonicTime now)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Decide(size_t rail, Slice& slice, MonotonicTime sent_at)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void TakeDue(Pipe& pipe, MonotonicTime now, std::vector<Slice*>& carried,
               Returned& returned) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  static MonotonicTime NextTime(const Pipe& pipe, MonotonicTime now);
  void GiveBack(Returned returned);

  const Rails inner_;
  const std::shared_ptr<RailControls> controls_;
  const std::function<void()> wake_;

  mutable Mutex mutex_;
  CondVar returned_;
  absl::Status closed_ ABSL_GUARDED_BY(mutex_);
  std::vector<Pipe> pipes_ ABSL_GUARDED_BY(mutex_);
  std::map<const Slice*, Posted> posted_ ABSL_GUARDED_BY(mutex_);
  // Slices that are not back, or whose sink has not returned.
  size_t unfinished_ ABSL_GUARDED_BY(mutex_) = 0;
};

}  // namespace te

#endif  // TE_TRANSPORT_SHAPED_RAILS_H_
