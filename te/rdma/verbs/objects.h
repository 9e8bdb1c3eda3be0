#ifndef TE_RDMA_VERBS_OBJECTS_H_
#define TE_RDMA_VERBS_OBJECTS_H_

#include <utility>

#include "absl/base/attributes.h"
#include "glog/logging.h"
#include "te/rdma/verbs/verbs.h"

namespace te::rdma {

// Owns an object of libibverbs. Movable; a moved-from or default-made one owns
// nothing. The Verbs outlive it, and so must what the object was made from: a
// protection domain outlives its memory regions, and so on.
template <typename T, int (Verbs::*kDestroy)(T*)>
class VerbsObject {
 public:
  VerbsObject() = default;
  VerbsObject(Verbs& verbs ABSL_ATTRIBUTE_LIFETIME_BOUND, T* object)
      : verbs_(&verbs), object_(object) {}
  VerbsObject(VerbsObject&& other) noexcept { *this = std::move(other); }
  VerbsObject& operator=(VerbsObject&& other) noexcept {
    std::swap(verbs_, other.verbs_);
    std::swap(object_, other.object_);
    return *this;
  }
  ~VerbsObject() { Reset(); }

  // Destroys the object, if there is one. That it fails means that something
  // made from it is still there, or that the device is gone: then it is leaked.
  void Reset() {
    T* const object = std::exchange(object_, nullptr);
    if (object == nullptr) return;
    const int error = (verbs_->*kDestroy)(object);
    LOG_IF(ERROR, error != 0) << "an object of " << verbs_->name()
                              << " could not be destroyed (error " << error
                              << "); it stays until the process ends";
  }

  explicit operator bool() const { return object_ != nullptr; }
  T* get() const { return object_; }
  T* operator->() const { return object_; }

 private:
  Verbs* verbs_ = nullptr;
  T* object_ = nullptr;
};

using OpenContext = VerbsObject<ibv_context, &Verbs::CloseDevice>;
using ProtectionDomain = VerbsObject<ibv_pd, &Verbs::DeallocPd>;
using MemoryRegionObject = VerbsObject<ibv_mr, &Verbs::DeregMr>;
using CompletionChannelObject =
    VerbsObject<ibv_comp_channel, &Verbs::DestroyCompChannel>;
using CompletionQueueObject = VerbsObject<ibv_cq, &Verbs::DestroyCq>;
using QueuePairObject = VerbsObject<ibv_qp, &Verbs::DestroyQp>;

}  // namespace te::rdma

#endif  // TE_RDMA_VERBS_OBJECTS_H_
