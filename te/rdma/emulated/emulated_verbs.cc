#include "te/rdma/emulated/emulated_verbs.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "glog/logging.h"
#include "te/base/mutex.h"
#include "te/rdma/emulated/emulated_context.h"
#include "te/rdma/emulated/emulated_cq.h"
#include "te/rdma/emulated/emulated_device_spec.h"
#include "te/rdma/emulated/emulated_qp.h"
#include "te/rdma/emulated/memory_table.h"

namespace te::rdma::emulated {
namespace {

constexpr int kCompletionVectors = 4;

// The data verbs, which the inline functions of the header call.
int PollCq(ibv_cq* cq, int count, ibv_wc* wc) {
  return ContextOf(cq->context)
      .wire->Poll(static_cast<EmulatedCq&>(*cq), count, wc);
}

int RequestNotify(ibv_cq* cq, int solicited_only) {
  ++ContextOf(cq->context).state->notify_requests;
  static_cast<EmulatedCq&>(*cq).RequestNotify(solicited_only != 0);
  return 0;
}

int PostSend(ibv_qp* qp, ibv_send_wr* wr, ibv_send_wr** bad) {
  return ContextOf(qp->context).wire->PostSend(QpOf(qp), wr, bad);
}

int PostRecv(ibv_qp* qp, ibv_recv_wr* wr, ibv_recv_wr** bad) {
  return ContextOf(qp->context).wire->PostRecv(QpOf(qp), wr, bad);
}

EmulatedCompChannel& ChannelOf(ibv_comp_channel* channel) {
  return static_cast<EmulatedCompChannel&>(*channel);
}

EmulatedCq& CqOf(ibv_cq* cq) { return static_cast<EmulatedCq&>(*cq); }

template <typename T>
T* FailWith(int error) {
  errno = error;
  return nullptr;
}

}  // namespace

EmulatedVerbs::EmulatedVerbs(std::string host, std::shared_ptr<Wire> wire)
    : host_(std::move(host)), keep_wire_(std::move(wire)), wire_(*keep_wire_) {}

void EmulatedVerbs::AddDevice(DeviceState& device) {
  MutexLock lock(wire_.mutex());
  devices_.push_back(&device);
}

void EmulatedVerbs::FailControlVerb(int n, int error) {
  MutexLock lock(wire_.mutex());
  failing_verb_ = n == 0 ? 0 : control_verbs_ + n;
  failing_errno_ = error;
}

uint64_t EmulatedVerbs::control_verbs() {
  MutexLock lock(wire_.mutex());
  return control_verbs_;
}

int EmulatedVerbs::Admit(const DeviceState* device) {
  if (++control_verbs_ == failing_verb_) return failing_errno_;
  return device != nullptr && device->fatal ? EIO : 0;
}

ibv_device** EmulatedVerbs::GetDeviceList(int* count) {
  MutexLock lock(wire_.mutex());
  if (const int error = Admit(nullptr); error != 0) {
    return FailWith<ibv_device*>(error);
  }
  std::vector<ibv_device*> list(devices_.begin(), devices_.end());
  if (count != nullptr) *count = static_cast<int>(list.size());
  list.push_back(nullptr);
  ibv_device** const handle = list.data();
  lists_[handle] = std::move(list);
  return handle;
}

void EmulatedVerbs::FreeDeviceList(ibv_device** list) {
  MutexLock lock(wire_.mutex());
  CHECK_EQ(lists_.erase(list), 1u) << "freed twice";
}

const char* EmulatedVerbs::GetDeviceName(ibv_device* device) {
  return device->name;
}

ibv_context* EmulatedVerbs::OpenDevice(ibv_device* device) {
  MutexLock lock(wire_.mutex());
  auto* const state = static_cast<DeviceState*>(device);
  CHECK_EQ(state->host, host_) << "a device of another host";
  if (const int error = Admit(state); error != 0) {
    return FailWith<ibv_context>(error);
  }
  auto context = std::make_unique<EmulatedContext>();
  if (context->async_events.fd() < 0) return FailWith<ibv_context>(EMFILE);
  context->wire = &wire_;
  context->state = state;
  context->device = device;
  context->cmd_fd = -1;
  context->async_fd = context->async_events.fd();
  context->num_comp_vectors = kCompletionVectors;
  context->ops.poll_cq = &PollCq;
  context->ops.req_notify_cq = &RequestNotify;
  context->ops.post_send = &PostSend;
  context->ops.post_recv = &PostRecv;
  return &state->contexts.Add(std::move(context));
}

int EmulatedVerbs::CloseDevice(ibv_context* handle) {
  MutexLock lock(wire_.mutex());
  EmulatedContext& context = ContextOf(handle);
  if (context.objects != 0) return EBUSY;
  context.state->contexts.Remove(context);
  return 0;
}

int EmulatedVerbs::QueryDevice(ibv_context* context, ibv_device_attr* attr) {
  MutexLock lock(wire_.mutex());
  const DeviceState& device = *ContextOf(context).state;
  if (const int error = Admit(&device); error != 0) return error;
  const EmulatedDeviceSpec& spec = device.spec;
  memset(attr, 0, sizeof(*attr));
  strcpy(attr->fw_ver, "emulated");
  attr->node_guid = static_cast<__be64>(device.index) + 1;
  attr->sys_image_guid = attr->node_guid;
  attr->max_mr_size = spec.max_mr_size;
  attr->page_size_cap = 4096;
  attr->max_qp = spec.max_qp;
  attr->max_qp_wr = spec.max_qp_wr;
  attr->max_sge = spec.max_sge;
  attr->max_sge_rd = spec.max_sge;
  attr->max_cq = spec.max_cq;
  attr->max_cqe = spec.max_cqe;
  attr->max_mr = spec.max_mr;
  attr->max_pd = spec.max_pd;
  attr->max_qp_rd_atom = spec.max_qp_rd_atom;
  attr->max_res_rd_atom = spec.max_qp_rd_atom * spec.max_qp;
  attr->max_qp_init_rd_atom = spec.max_qp_rd_atom;
  attr->atomic_cap = IBV_ATOMIC_NONE;
  attr->max_pkeys = 1;
  attr->phys_port_cnt = static_cast<uint8_t>(spec.ports.size());
  return 0;
}

int EmulatedVerbs::QueryPort(ibv_context* context, uint8_t number,
                             ibv_port_attr* attr) {
  MutexLock lock(wire_.mutex());
  DeviceState& device = *ContextOf(context).state;
  if (const int error = Admit(&device); error != 0) return error;
  const EmulatedPortSpec* const port = device.port(number);
  if (port == nullptr) return EINVAL;
  memset(attr, 0, sizeof(*attr));
  attr->state = port->active ? IBV_PORT_ACTIVE : IBV_PORT_DOWN;
  attr->phys_state = port->active ? 5 : 3;  // LinkUp, Disabled
  attr->max_mtu = IBV_MTU_4096;
  attr->active_mtu = port->active_mtu;
  attr->gid_tbl_len = 256;
  attr->pkey_tbl_len = 1;
  attr->max_msg_sz = device.spec.max_msg_sz;
  attr->lid = port->lid;
  attr->active_width = port->active_width;
  attr->active_speed = port->active_speed;
  attr->link_layer = port->link_layer;
  if (port->link_layer == IBV_LINK_LAYER_ETHERNET) {
    attr->flags = IBV_QPF_GRH_REQUIRED;
  }
  return 0;
}

ssize_t EmulatedVerbs::QueryGidTable(ibv_context* context,
                                     ibv_gid_entry* entries,
                                     size_t max_entries) {
  MutexLock lock(wire_.mutex());
  DeviceState& device = *ContextOf(context).state;
  if (const int error = Admit(&device); error != 0) return -error;
  size_t count = 0;
  for (size_t i = 0; i < device.spec.ports.size(); ++i) {
    for (const EmulatedGid& gid : device.spec.ports[i].gids) {
      if (count == max_entries) return -EINVAL;
      ibv_gid_entry& entry = entries[count++];
      entry.gid = gid.gid;
      entry.gid_index = gid.index;
      entry.port_num = static_cast<uint32_t>(i + 1);
      entry.gid_type = gid.type;
      entry.ndev_ifindex = gid.interface_index;
    }
  }
  return static_cast<ssize_t>(count);
}

ibv_pd* EmulatedVerbs::AllocPd(ibv_context* handle) {
  MutexLock lock(wire_.mutex());
  EmulatedContext& context = ContextOf(handle);
  DeviceState& device = *context.state;
  if (const int error = Admit(&device); error != 0) {
    return FailWith<ibv_pd>(error);
  }
  if (device.pds.size() >= device.spec.max_pd) return FailWith<ibv_pd>(ENOMEM);
  auto pd = std::make_unique<EmulatedPd>();
  pd->context = handle;
  ++context.objects;
  return &device.pds.Add(std::move(pd));
}

int EmulatedVerbs::DeallocPd(ibv_pd* handle) {
  MutexLock lock(wire_.mutex());
  auto& pd = static_cast<EmulatedPd&>(*handle);
  if (pd.users != 0) return EBUSY;
  EmulatedContext& context = ContextOf(pd.context);
  --context.objects;
  context.state->pds.Remove(pd);
  return 0;
}

ibv_mr* EmulatedVerbs::RegMr(ibv_pd* pd, void* address, size_t length,
                             unsigned int access) {
  MutexLock lock(wire_.mutex());
  DeviceState& device = *ContextOf(pd->context).state;
  if (const int error = Admit(&device); error != 0) {
    return FailWith<ibv_mr>(error);
  }
  if (const int error = MemoryTable::CheckAccessFlags(access); error != 0) {
    return FailWith<ibv_mr>(error);
  }
  const auto begin = reinterpret_cast<uintptr_t>(address);
  if (length == 0 || length > device.spec.max_mr_size ||
      begin + length < begin) {
    return FailWith<ibv_mr>(EINVAL);
  }
  if (device.mrs.size() >= static_cast<size_t>(device.spec.max_mr)) {
    return FailWith<ibv_mr>(ENOMEM);
  }
  auto mr = std::make_unique<EmulatedMr>();
  mr->context = pd->context;
  mr->pd = pd;
  mr->addr = address;
  mr->length = length;
  mr->access = access;
  ++static_cast<EmulatedPd*>(pd)->users;
  return &device.mrs.Add(std::move(mr));
}

ibv_mr* EmulatedVerbs::RegDmabufMr(ibv_pd* pd, uint64_t /*offset*/,
                                   size_t /*length*/, uint64_t /*iova*/,
                                   int /*fd*/, int /*access*/) {
  MutexLock lock(wire_.mutex());
  const int error = Admit(ContextOf(pd->context).state);
  return FailWith<ibv_mr>(error != 0 ? error : EOPNOTSUPP);
}

int EmulatedVerbs::DeregMr(ibv_mr* handle) {
  // The lock waits for whoever accesses memory now.
  MutexLock lock(wire_.mutex());
  auto& mr = static_cast<EmulatedMr&>(*handle);
  --static_cast<EmulatedPd*>(mr.pd)->users;
  ContextOf(mr.context).state->mrs.Remove(mr);
  return 0;
}

ibv_comp_channel* EmulatedVerbs::CreateCompChannel(ibv_context* handle) {
  MutexLock lock(wire_.mutex());
  EmulatedContext& context = ContextOf(handle);
  if (const int error = Admit(context.state); error != 0) {
    return FailWith<ibv_comp_channel>(error);
  }
  auto channel = std::make_unique<EmulatedCompChannel>();
  if (channel->events.fd() < 0) return FailWith<ibv_comp_channel>(EMFILE);
  channel->context = handle;
  channel->fd = channel->events.fd();
  ++context.objects;
  return &context.state->channels.Add(std::move(channel));
}

int EmulatedVerbs::DestroyCompChannel(ibv_comp_channel* handle) {
  MutexLock lock(wire_.mutex());
  EmulatedCompChannel& channel = ChannelOf(handle);
  if (channel.refcnt != 0) return EBUSY;
  EmulatedContext& context = ContextOf(channel.context);
  --context.objects;
  context.state->channels.Remove(channel);
  return 0;
}

ibv_cq* EmulatedVerbs::CreateCq(ibv_context* handle, int cqe, void* cq_context,
                                ibv_comp_channel* channel, int comp_vector) {
  MutexLock lock(wire_.mutex());
  EmulatedContext& context = ContextOf(handle);
  DeviceState& device = *context.state;
  if (const int error = Admit(&device); error != 0) {
    return FailWith<ibv_cq>(error);
  }
  if (cqe < 1 || cqe > device.spec.max_cqe || comp_vector < 0 ||
      comp_vector >= handle->num_comp_vectors ||
      (channel != nullptr && channel->context != handle)) {
    return FailWith<ibv_cq>(EINVAL);
  }
  if (device.cqs.size() >= device.spec.max_cq) return FailWith<ibv_cq>(ENOMEM);
  EmulatedCompChannel* const emulated_channel =
      channel == nullptr ? nullptr : &ChannelOf(channel);
  if (emulated_channel != nullptr) ++emulated_channel->refcnt;
  ++context.objects;
  return &device.cqs.Add(
      std::make_unique<EmulatedCq>(handle, cqe, cq_context, emulated_channel));
}

int EmulatedVerbs::DestroyCq(ibv_cq* handle) {
  EmulatedCq& cq = CqOf(handle);
  EmulatedContext& context = ContextOf(cq.context);
  const MonotonicTime deadline = RealClock().Now() + kAcknowledgementPatience;
  do {
    MutexLock lock(wire_.mutex());
    if (cq.users != 0) return EBUSY;
    if (!context.async_events.Remove(&cq)) continue;
    if (cq.channel != nullptr) {
      if (!ChannelOf(cq.channel).events.Remove(&cq)) return EBUSY;
      --cq.channel->refcnt;
    }
    --context.objects;
    context.state->cqs.Remove(cq);
    return 0;
  } while (context.async_events.AwaitAcknowledgements(&cq, deadline));
  return EBUSY;
}

int EmulatedVerbs::GetCqEvent(ibv_comp_channel* channel, ibv_cq** cq,
                              void** cq_context) {
  if (ChannelOf(channel).events.Get(cq) != 0) return -1;
  *cq_context = (*cq)->cq_context;
  return 0;
}

void EmulatedVerbs::AckCqEvents(ibv_cq* cq, unsigned int count) {
  ChannelOf(cq->channel).events.Acknowledge(&CqOf(cq), count);
}

int EmulatedVerbs::GetAsyncEvent(ibv_context* context, ibv_async_event* event) {
  return ContextOf(context).async_events.Get(event);
}

void EmulatedVerbs::AckAsyncEvent(ibv_async_event* event) {
  switch (event->event_type) {
    case IBV_EVENT_CQ_ERR: {
      EmulatedCq& cq = CqOf(event->element.cq);
      ContextOf(cq.context).async_events.Acknowledge(&cq, 1);
      break;
    }
    case IBV_EVENT_QP_FATAL:
    case IBV_EVENT_QP_REQ_ERR:
    case IBV_EVENT_QP_ACCESS_ERR:
    case IBV_EVENT_SQ_DRAINED: {
      EmulatedQp& qp = QpOf(event->element.qp);
      ContextOf(qp.context).async_events.Acknowledge(&qp, 1);
      break;
    }
    default:
      break;  // of a port or the device, which do not go away
  }
}

}  // namespace te::rdma::emulated
