#ifndef TE_RDMA_EMULATED_DEVICE_STATE_H_
#define TE_RDMA_EMULATED_DEVICE_STATE_H_

#include <infiniband/verbs.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>

#include "glog/logging.h"
#include "te/base/clock.h"
#include "te/rdma/emulated/emulated_context.h"
#include "te/rdma/emulated/emulated_cq.h"
#include "te/rdma/emulated/emulated_device_spec.h"
#include "te/rdma/emulated/emulated_qp.h"
#include "te/rdma/emulated/memory_table.h"

namespace te::rdma::emulated {

// Owns objects that are known by raw pointers outside.
template <typename T>
class ObjectSet {
 public:
  T& Add(std::unique_ptr<T> object) {
    T& added = *object;
    objects_[&added] = std::move(object);
    return added;
  }
  void Remove(T& object) {
    CHECK_EQ(objects_.erase(&object), 1u) << "destroyed twice, or elsewhere";
  }
  int size() const { return static_cast<int>(objects_.size()); }
  auto begin() { return objects_.begin(); }
  auto end() { return objects_.end(); }

 private:
  std::unordered_map<T*, std::unique_ptr<T>> objects_;
};

// A device: what it is like now, and its objects. Owned by the wire; guarded by
// the wire's mutex, but for the names.
struct DeviceState : ibv_device {
  // `index`: of the device in the fabric.
  DeviceState(std::string host, int index, EmulatedDeviceSpec spec);

  // Null if there is no such port.
  EmulatedPortSpec* port(int number) {
    const bool exists =
        number >= 1 && static_cast<size_t>(number) <= spec.ports.size();
    return exists ? &spec.ports[number - 1] : nullptr;
  }
  EmulatedQp* FindQp(uint32_t qp_num) {
    const auto found = qps.find(qp_num);
    return found == qps.end() ? nullptr : found->second.get();
  }
  void Raise(const ibv_async_event& event);
  void RaisePortEvent(ibv_event_type type, int port);

  const std::string host;
  const int index;
  // Of the ports, what changes is changed in here.
  EmulatedDeviceSpec spec;
  bool fatal = false;
  double loss_probability = 0;
  // Calls of ibv_req_notify_cq; not guarded.
  std::atomic<uint64_t> notify_requests{0};
  // When it will have sent and read what was posted up to now.
  MonotonicTime busy_until;

  ObjectSet<EmulatedContext> contexts;
  ObjectSet<EmulatedPd> pds;
  MemoryTable mrs;
  ObjectSet<EmulatedCompChannel> channels;
  ObjectSet<EmulatedCq> cqs;
  // By number; ordered, so that what is done with all of them is
  // deterministic.
  std::map<uint32_t, std::unique_ptr<EmulatedQp>> qps;
  uint32_t next_qp_num;
};

// The entry of a GID table, or null.
inline const EmulatedGid* FindGid(const EmulatedPortSpec& port,
                                  uint32_t index) {
  for (const EmulatedGid& gid : port.gids) {
    if (gid.index == index) return &gid;
  }
  return nullptr;
}

// Raises an event of a queue pair or completion queue.
void RaiseQpEvent(EmulatedQp& qp, ibv_event_type type);
void RaiseCqError(EmulatedCq& cq);

}  // namespace te::rdma::emulated

#endif  // TE_RDMA_EMULATED_DEVICE_STATE_H_
