#ifndef TE_RDMA_EMULATED_WIRE_H_
#define TE_RDMA_EMULATED_WIRE_H_

#include <infiniband/verbs.h>

#include <atomic>
#include <cstdint>
#include <memory>
#include <optional>
#include <random>
#include <string>
#include <unordered_map>
#include <vector>

#include "absl/base/attributes.h"
#include "absl/base/thread_annotations.h"
#include "te/base/clock.h"
#include "te/base/mutex.h"
#include "te/base/thread.h"
#include "te/rdma/emulated/device_state.h"
#include "te/rdma/emulated/emulated_cq.h"
#include "te/rdma/emulated/emulated_device_spec.h"
#include "te/rdma/emulated/emulated_fault.h"
#include "te/rdma/emulated/emulated_qp.h"
#include "te/rdma/emulated/fabric_options.h"
#include "te/rdma/emulated/timer_queue.h"

namespace te::rdma::emulated {

// Carries work requests out: the core of the emulation. Owns the devices of a
// fabric, and the one mutex that guards them and all that is in them, other
// than what completion queues and event channels guard themselves. User memory
// is read and written under that mutex as well, so what a completion tells of
// happened before it was polled, as sanitizers see it.
//
// Each send queue is carried out in order. Its head is looked at when it is
// posted, and again by a timer when it has to wait: for its time, for a retry.
//
// Thread-safe.
class Wire {
 public:
  explicit Wire(const FabricOptions& options);
  // Joins the thread of WireMode::kThreaded.
  ~Wire();

  Mutex& mutex() ABSL_LOCK_RETURNED(mutex_) { return mutex_; }

  DeviceState& AddDevice(std::string host, EmulatedDeviceSpec spec)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  EmulatedQp& AddQp(DeviceState& device, ibv_pd* pd,
                    const ibv_qp_init_attr& init)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RemoveQp(EmulatedQp& qp) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void set_script(FaultScript script) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // Whoever changes what may decide on the fate of work requests calls this:
  // nothing that was found out before holds any longer.
  void BumpEpoch() ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_) {
    epoch_.fetch_add(1);
  }

  // The data verbs.
  int PostSend(EmulatedQp& qp, ibv_send_wr* wr, ibv_send_wr** bad);
  int PostRecv(EmulatedQp& qp, ibv_recv_wr* wr, ibv_recv_wr** bad);
  int Poll(EmulatedCq& cq, int max, ibv_wc* wc) {
    // Where there is no thread, who polls moves time along.
    // Relaxed: a timer that another thread just added is seen next time.
    if (inline_ && timers_waiting_.load(std::memory_order_relaxed)) Run();
    return cq.Poll(max, wc);
  }

  // State changes of a queue pair; the attributes are set already.
  void MoveToError(EmulatedQp& qp) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Reset(EmulatedQp& qp)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_, qp.post_mutex);
  // Sees to it that the send queue is carried out: now, or when it is time.
  void Start(EmulatedQp& qp, MonotonicTime now)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // Does all that is due. Returns how many timers went off.
  int Run();
  MonotonicTime next_due();
  MonotonicTime Now() const { return clock_.Now(); }

 private:
  // What became of one attempt to carry a work request out.
  struct Outcome {
    enum Kind { kDone, kLost, kNotReady, kFailed };
    Kind kind = kDone;
    Duration retry_after = Duration::zero();  // with kNotReady
    ibv_wc_status status = IBV_WC_SUCCESS;    // with kFailed
    // With kFailed: the queue pair that fails as well, and its event.
    EmulatedQp* responder = nullptr;
    std::optional<ibv_event_type> responder_event;
  };
  static Outcome Failed(ibv_wc_status status);
  static Outcome FailedBoth(ibv_wc_status status, EmulatedQp& responder,
                            std::optional<ibv_event_type> event);

  // Completes requests without a look at the fabric: see wire_post.cc. Returns
  // the first that needs one.
  ibv_send_wr* PostUnchecked(EmulatedQp& qp, ibv_send_wr* wr)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(qp.post_mutex);
  int PostOne(EmulatedQp& qp, const ibv_send_wr& wr, MonotonicTime now)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_, qp.post_mutex);
  MonotonicTime DueOf(DeviceState& device, uint64_t length, MonotonicTime now)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool MayGoUnchecked(EmulatedQp& qp) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // Carries out the send queue as far as it can be by `now`.
  void Advance(EmulatedQp& qp, MonotonicTime now)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Deals with the head of a send queue, which is due: it is completed, or due
  // later.
  void Step(EmulatedQp& qp, MonotonicTime now)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Judge(EmulatedQp& qp, SendWork& work)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Outcome Attempt(EmulatedQp& qp, const SendWork& work)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // RDMA READ and WRITE at the responder.
  Outcome Access(EmulatedQp& peer, const SendWork& work)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  Outcome Send(EmulatedQp& qp, EmulatedQp& peer, const SendWork& work)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  // Whom packets of `qp` reach and who takes them for their own, or null.
  EmulatedQp* PeerOf(EmulatedQp& qp) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  EmulatedQp* FindPeer(EmulatedQp& qp) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool Lose(double probability) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  // Takes the head of a queue out and completes it.
  void CompleteSend(EmulatedQp& qp, ibv_wc_status status, uint32_t vendor_err)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void CompleteRecv(EmulatedQp& qp, ibv_wc_status status, uint64_t length,
                    uint32_t source_qp, bool solicited)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void Push(EmulatedQp& qp, EmulatedCq& cq, const EmulatedCq::Entry& entry)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void FailHead(EmulatedQp& qp, ibv_wc_status status, uint32_t vendor_err)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  void SetTimer(EmulatedQp& qp, MonotonicTime due)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  bool RunOne(MonotonicTime now) ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  void RunThread();

  const Clock& clock_;
  const WireMode mode_;
  const bool inline_;  // WireMode::kImmediate
  const bool copy_;

  std::atomic<uint64_t> epoch_{1};
  std::atomic<bool> timers_waiting_{false};

  Mutex mutex_;
  CondVar earlier_timer_;
  bool stopping_ ABSL_GUARDED_BY(mutex_) = false;
  TimerQueue timers_ ABSL_GUARDED_BY(mutex_);
  std::mt19937_64 random_ ABSL_GUARDED_BY(mutex_);
  FaultScript script_ ABSL_GUARDED_BY(mutex_);
  uint64_t judged_ ABSL_GUARDED_BY(mutex_) = 0;
  uint64_t last_qp_id_ ABSL_GUARDED_BY(mutex_) = 0;
  std::vector<std::unique_ptr<DeviceState>> devices_ ABSL_GUARDED_BY(mutex_);
  std::unordered_map<uint64_t, EmulatedQp*> qps_by_id_ ABSL_GUARDED_BY(mutex_);

  Thread thread_;
};

}  // namespace te::rdma::emulated

#endif  // TE_RDMA_EMULATED_WIRE_H_
