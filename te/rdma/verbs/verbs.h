#ifndef TE_RDMA_VERBS_VERBS_H_
#define TE_RDMA_VERBS_VERBS_H_

#include <infiniband/verbs.h>
#include <stddef.h>
#include <stdint.h>

namespace te::rdma {

// The control verbs that te uses: each does what the function of libibverbs of
// that name does (man 3 ibv_…), with the same results, errno included, but for
// OpenDevice, whose errno says why the device's file cannot be opened. Its
// implementations are the library of the system, loaded at run time
// (system_verbs.h), and emulated devices (te/rdma/emulated).
//
// Data verbs (ibv_post_send, ibv_post_recv, ibv_poll_cq, ibv_req_notify_cq) are
// not here: they are inline functions of the header, which call the provider
// through the object's context, and so cost nothing more.
//
// Thread-safe, as libibverbs is. Objects must be destroyed through the Verbs
// that made them, which outlive them.
class Verbs {
 public:
  virtual ~Verbs() = default;

  // Where the verbs come from, for errors: "libibverbs.so.1".
  virtual const char* name() const = 0;

  virtual ibv_device** GetDeviceList(int* count) = 0;
  virtual void FreeDeviceList(ibv_device** list) = 0;
  virtual const char* GetDeviceName(ibv_device* device) = 0;
  virtual ibv_context* OpenDevice(ibv_device* device) = 0;
  virtual int CloseDevice(ibv_context* context) = 0;

  virtual int QueryDevice(ibv_context* context, ibv_device_attr* attr) = 0;
  virtual int QueryPort(ibv_context* context, uint8_t port,
                        ibv_port_attr* attr) = 0;
  // The valid entries of the GID tables of all ports; returns how many, or a
  // negative errno: -EINVAL if there are more than `max_entries`, -EOPNOTSUPP
  // if the library is too old (before rdma-core 33).
  virtual ssize_t QueryGidTable(ibv_context* context, ibv_gid_entry* entries,
                                size_t max_entries) = 0;

  virtual ibv_pd* AllocPd(ibv_context* context) = 0;
  virtual int DeallocPd(ibv_pd* pd) = 0;

  // `access` may have flags of IBV_ACCESS_OPTIONAL_RANGE: they are ignored
  // where the library or the device does not know them.
  virtual ibv_mr* RegMr(ibv_pd* pd, void* address, size_t length,
                        unsigned int access) = 0;
  // Of memory of another device, such as a GPU, that `fd` stands for.
  // EOPNOTSUPP where the library does not know the call.
  virtual ibv_mr* RegDmabufMr(ibv_pd* pd, uint64_t offset, size_t length,
                              uint64_t iova, int fd, int access) = 0;
  virtual int DeregMr(ibv_mr* mr) = 0;

  virtual ibv_comp_channel* CreateCompChannel(ibv_context* context) = 0;
  virtual int DestroyCompChannel(ibv_comp_channel* channel) = 0;
  virtual ibv_cq* CreateCq(ibv_context* context, int cqe, void* cq_context,
                           ibv_comp_channel* channel, int comp_vector) = 0;
  virtual int DestroyCq(ibv_cq* cq) = 0;
  virtual int GetCqEvent(ibv_comp_channel* channel, ibv_cq** cq,
                         void** cq_context) = 0;
  virtual void AckCqEvents(ibv_cq* cq, unsigned int count) = 0;

  virtual ibv_qp* CreateQp(ibv_pd* pd, ibv_qp_init_attr* attr) = 0;
  virtual int ModifyQp(ibv_qp* qp, ibv_qp_attr* attr, int mask) = 0;
  virtual int QueryQp(ibv_qp* qp, ibv_qp_attr* attr, int mask,
                      ibv_qp_init_attr* init_attr) = 0;
  virtual int DestroyQp(ibv_qp* qp) = 0;

  virtual int GetAsyncEvent(ibv_context* context, ibv_async_event* event) = 0;
  virtual void AckAsyncEvent(ibv_async_event* event) = 0;
};

}  // namespace te::rdma

#endif  // TE_RDMA_VERBS_VERBS_H_
