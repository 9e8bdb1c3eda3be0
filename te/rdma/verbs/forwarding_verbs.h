#ifndef TE_RDMA_VERBS_FORWARDING_VERBS_H_
#define TE_RDMA_VERBS_FORWARDING_VERBS_H_

#include <infiniband/verbs.h>
#include <stddef.h>
#include <stdint.h>

#include <memory>
#include <utility>

#include "te/rdma/verbs/verbs.h"

namespace te::rdma {

// Does what other Verbs do. For tests, which derive from it to have one of them
// do something else.
class ForwardingVerbs : public Verbs {
 public:
  explicit ForwardingVerbs(std::shared_ptr<Verbs> target)
      : target_(std::move(target)) {}

  const char* name() const override { return target_->name(); }

  ibv_device** GetDeviceList(int* count) override {
    return target_->GetDeviceList(count);
  }
  void FreeDeviceList(ibv_device** list) override {
    target_->FreeDeviceList(list);
  }
  const char* GetDeviceName(ibv_device* device) override {
    return target_->GetDeviceName(device);
  }
  ibv_context* OpenDevice(ibv_device* device) override {
    return target_->OpenDevice(device);
  }
  int CloseDevice(ibv_context* context) override {
    return target_->CloseDevice(context);
  }

  int QueryDevice(ibv_context* context, ibv_device_attr* attr) override {
    return target_->QueryDevice(context, attr);
  }
  int QueryPort(ibv_context* context, uint8_t port,
                ibv_port_attr* attr) override {
    return target_->QueryPort(context, port, attr);
  }
  ssize_t QueryGidTable(ibv_context* context, ibv_gid_entry* entries,
                        size_t max_entries) override {
    return target_->QueryGidTable(context, entries, max_entries);
  }

  ibv_pd* AllocPd(ibv_context* context) override {
    return target_->AllocPd(context);
  }
  int DeallocPd(ibv_pd* pd) override { return target_->DeallocPd(pd); }

  ibv_mr* RegMr(ibv_pd* pd, void* address, size_t length,
                unsigned int access) override {
    return target_->RegMr(pd, address, length, access);
  }
  ibv_mr* RegDmabufMr(ibv_pd* pd, uint64_t offset, size_t length, uint64_t iova,
                      int fd, int access) override {
    return target_->RegDmabufMr(pd, offset, length, iova, fd, access);
  }
  int DeregMr(ibv_mr* mr) override { return target_->DeregMr(mr); }

  ibv_comp_channel* CreateCompChannel(ibv_context* context) override {
    return target_->CreateCompChannel(context);
  }
  int DestroyCompChannel(ibv_comp_channel* channel) override {
    return target_->DestroyCompChannel(channel);
  }
  ibv_cq* CreateCq(ibv_context* context, int cqe, void* cq_context,
                   ibv_comp_channel* channel, int comp_vector) override {
    return target_->CreateCq(context, cqe, cq_context, channel, comp_vector);
  }
  int DestroyCq(ibv_cq* cq) override { return target_->DestroyCq(cq); }
  int GetCqEvent(ibv_comp_channel* channel, ibv_cq** cq,
                 void** cq_context) override {
    return target_->GetCqEvent(channel, cq, cq_context);
  }
  void AckCqEvents(ibv_cq* cq, unsigned int count) override {
    target_->AckCqEvents(cq, count);
  }

  ibv_qp* CreateQp(ibv_pd* pd, ibv_qp_init_attr* attr) override {
    return target_->CreateQp(pd, attr);
  }
  int ModifyQp(ibv_qp* qp, ibv_qp_attr* attr, int mask) override {
    return target_->ModifyQp(qp, attr, mask);
  }
  int QueryQp(ibv_qp* qp, ibv_qp_attr* attr, int mask,
              ibv_qp_init_attr* init_attr) override {
    return target_->QueryQp(qp, attr, mask, init_attr);
  }
  int DestroyQp(ibv_qp* qp) override { return target_->DestroyQp(qp); }

  int GetAsyncEvent(ibv_context* context, ibv_async_event* event) override {
    return target_->GetAsyncEvent(context, event);
  }
  void AckAsyncEvent(ibv_async_event* event) override {
    target_->AckAsyncEvent(event);
  }

 private:
  const std::shared_ptr<Verbs> target_;
};

}  // namespace te::rdma

#endif  // TE_RDMA_VERBS_FORWARDING_VERBS_H_
