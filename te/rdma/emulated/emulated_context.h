#ifndef TE_RDMA_EMULATED_EMULATED_CONTEXT_H_
#define TE_RDMA_EMULATED_EMULATED_CONTEXT_H_

#include <infiniband/verbs.h>

#include "te/rdma/emulated/event_channel.h"

namespace te::rdma::emulated {

struct DeviceState;
class Wire;

// An open device. Owned by its DeviceState.
struct EmulatedContext : ibv_context {
  Wire* wire = nullptr;
  DeviceState* state = nullptr;
  EventChannel<ibv_async_event> async_events;
  // Protection domains, channels and completion queues that live in it. Guarded
  // by the wire's mutex.
  int objects = 0;
};

inline EmulatedContext& ContextOf(ibv_context* context) {
  return static_cast<EmulatedContext&>(*context);
}

}  // namespace te::rdma::emulated

#endif  // TE_RDMA_EMULATED_EMULATED_CONTEXT_H_
