#ifndef TE_RDMA_DEVICE_WORKER_H_
#define TE_RDMA_DEVICE_WORKER_H_

#include <atomic>
#include <chrono>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/statusor.h"
#include "te/base/clock.h"
#include "te/base/mutex.h"
#include "te/base/thread.h"
#include "te/base/unique_fd.h"
#include "te/rdma/device.h"
#include "te/rdma/verbs/objects.h"
#include "te/transport/transport.h"

namespace te::rdma {

// The thread of a device. It sleeps until there are completions that nobody
// polls for, or the device reports an event, and now and then looks after
// queues that do not wake it. Thread-safe. Goes before the device, and after
// all queues that it made.
class DeviceWorker {
 public:
  // Whose completions they are. Called on the thread alone, which serves one
  // client at a time; may call nothing of the worker's.
  class Client {
   public:
    // The queue has woken the thread, or has done so lately: moves what there
    // is to move. kBusy: somebody else does, and will ask the queue to wake the
    // thread when he leaves.
    virtual Progress OnCompletions() = 0;
    // Nothing has moved for a while: asks the queue to wake the thread for the
    // next completion (ibv_req_notify_cq), unless somebody else polls.
    virtual void Rest() = 0;
    // Whether the thread is to glance at it now and then, because the queue is
    // not asked to wake it. May become true in OnCompletions.
    virtual bool wants_glances() const = 0;
    // Every kGlancePeriod, as long as it wants that.
    virtual void Glance() = 0;

   protected:
    ~Client() = default;
  };

  // What completes unnoticed is seen after that, or twice that if the thread
  // has much to do.
  static constexpr Duration kGlancePeriod = std::chrono::milliseconds(2);

  struct Options {
    std::string name;
    // Those next to the device; empty: any.
    std::vector<int> cpus;
    Duration spin;
  };
  // Called on the thread when the device has reported something about itself,
  // and has been looked at again: device.health() tells.
  using OnEvent = std::function<void(ibv_event_type)>;

  static absl::StatusOr<std::unique_ptr<DeviceWorker>> Create(
      Device& device, const Options& options, OnEvent on_event);
  ~DeviceWorker();

  // A completion queue for so many entries, which belongs to `client`.
  absl::StatusOr<CompletionQueueObject> MakeQueue(int entries, Client& client);
  // Destroys it. The client is not being called any more when it returns. Queue
  // pairs that use it go before. Not from a client.
  void Drop(CompletionQueueObject queue);

 private:
  // Between looks that fail: twice as long each time.
  static constexpr Duration kFirstPause = std::chrono::milliseconds(10);
  static constexpr Duration kLongestPause = std::chrono::seconds(10);

  DeviceWorker(Device& device, const Options& options, OnEvent on_event)
      : device_(device), spin_(options.spin), on_event_(std::move(on_event)) {}

  void Run();
  void HandleEvents();
  // Whether that could be done; else there will be another look.
  bool LookAtDevice(ibv_event_type why);
  void LookAgain();
  void CollectCompletions() ABSL_EXCLUSIVE_LOCKS_REQUIRED(dispatch_);
  bool PollActive() ABSL_EXCLUSIVE_LOCKS_REQUIRED(dispatch_);
  void RestActive() ABSL_EXCLUSIVE_LOCKS_REQUIRED(dispatch_);
  // Returns whether there is more to do.
  bool Serve();
  void GlanceAround();
  // Of poll(2), in milliseconds.
  int Timeout();

  Device& device_;
  const Duration spin_;
  const OnEvent on_event_;
  CompletionChannelObject channel_;
  UniqueFd wake_;
  std::atomic<bool> stopping_{false};
  // The thread's: the event after which a look at the device has failed, and
  // when to take another.
  std::optional<ibv_event_type> unseen_;
  MonotonicTime next_look_;
  Duration pause_ = kFirstPause;
  // Who waits for dispatch_ to make or drop a queue: the thread lets him pass.
  std::atomic<int> waiters_{0};

  // Held while clients are called.
  Mutex dispatch_;
  std::unordered_map<ibv_cq*, Client*> clients_ ABSL_GUARDED_BY(dispatch_);
  // Those that had completions lately.
  std::vector<Client*> active_ ABSL_GUARDED_BY(dispatch_);
  // Those that want glances.
  std::vector<Client*> glanced_at_ ABSL_GUARDED_BY(dispatch_);
  MonotonicTime next_glance_ ABSL_GUARDED_BY(dispatch_);

  Thread thread_;
};

}  // namespace te::rdma

#endif  // TE_RDMA_DEVICE_WORKER_H_
