#ifndef TE_RDMA_EMULATED_EMULATED_VERBS_H_
#define TE_RDMA_EMULATED_EMULATED_VERBS_H_

#include <infiniband/verbs.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "te/base/clock.h"
#include "te/rdma/emulated/device_state.h"
#include "te/rdma/emulated/wire.h"
#include "te/rdma/verbs/verbs.h"

namespace te::rdma::emulated {

// The control verbs of one host of a fabric. Thread-safe.
//
// Differs from libibverbs where it helps tests: what would wait for ever for
// acknowledgements of asynchronous events, or at all for those of completions,
// and what leaks, fails with EBUSY. Destroying works on a device that failed.
class EmulatedVerbs final : public Verbs {
 public:
  EmulatedVerbs(std::string host, std::shared_ptr<Wire> wire);

  // A device of the host. It is in the list from now on.
  void AddDevice(DeviceState& device);
  // See EmulatedFabric.
  void FailControlVerb(int n, int error);
  uint64_t control_verbs();

  const char* name() const override { return "emulated verbs"; }

  ibv_device** GetDeviceList(int* count) override;
  void FreeDeviceList(ibv_device** list) override;
  const char* GetDeviceName(ibv_device* device) override;
  ibv_context* OpenDevice(ibv_device* device) override;
  int CloseDevice(ibv_context* context) override;

  int QueryDevice(ibv_context* context, ibv_device_attr* attr) override;
  int QueryPort(ibv_context* context, uint8_t port,
                ibv_port_attr* attr) override;
  // -EINVAL if there are more than `max_entries`, as the kernel does.
  ssize_t QueryGidTable(ibv_context* context, ibv_gid_entry* entries,
                        size_t max_entries) override;

  ibv_pd* AllocPd(ibv_context* context) override;
  int DeallocPd(ibv_pd* pd) override;

  ibv_mr* RegMr(ibv_pd* pd, void* address, size_t length,
                unsigned int access) override;
  // Always EOPNOTSUPP.
  ibv_mr* RegDmabufMr(ibv_pd* pd, uint64_t offset, size_t length, uint64_t iova,
                      int fd, int access) override;
  int DeregMr(ibv_mr* mr) override;

  ibv_comp_channel* CreateCompChannel(ibv_context* context) override;
  int DestroyCompChannel(ibv_comp_channel* channel) override;
  // The queue has exactly the capacity asked for.
  ibv_cq* CreateCq(ibv_context* context, int cqe, void* cq_context,
                   ibv_comp_channel* channel, int comp_vector) override;
  int DestroyCq(ibv_cq* cq) override;
  int GetCqEvent(ibv_comp_channel* channel, ibv_cq** cq,
                 void** cq_context) override;
  void AckCqEvents(ibv_cq* cq, unsigned int count) override;

  ibv_qp* CreateQp(ibv_pd* pd, ibv_qp_init_attr* attr) override;
  int ModifyQp(ibv_qp* qp, ibv_qp_attr* attr, int mask) override;
  int QueryQp(ibv_qp* qp, ibv_qp_attr* attr, int mask,
              ibv_qp_init_attr* init_attr) override;
  int DestroyQp(ibv_qp* qp) override;

  int GetAsyncEvent(ibv_context* context, ibv_async_event* event) override;
  void AckAsyncEvent(ibv_async_event* event) override;

 private:
  // Between fetching an asynchronous event and acknowledging it.
  static constexpr Duration kAcknowledgementPatience = std::chrono::seconds(2);

  // Counts a call of a verb that can fail; returns the errno it is to fail
  // with, or 0. `device` may be null.
  int Admit(const DeviceState* device)
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(wire_.mutex());

  const std::string host_;
  const std::shared_ptr<Wire> keep_wire_;
  Wire& wire_;
  std::vector<DeviceState*> devices_ ABSL_GUARDED_BY(wire_.mutex());
  std::unordered_map<ibv_device**, std::vector<ibv_device*>> lists_
      ABSL_GUARDED_BY(wire_.mutex());
  uint64_t control_verbs_ ABSL_GUARDED_BY(wire_.mutex()) = 0;
  // The value of control_verbs_ at which a verb fails, and how.
  uint64_t failing_verb_ ABSL_GUARDED_BY(wire_.mutex()) = 0;
  int failing_errno_ ABSL_GUARDED_BY(wire_.mutex()) = 0;
};

}  // namespace te::rdma::emulated

#endif  // TE_RDMA_EMULATED_EMULATED_VERBS_H_
