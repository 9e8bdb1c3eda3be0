#ifndef TE_TRANSPORT_FAKE_TRANSPORT_H_
#define TE_TRANSPORT_FAKE_TRANSPORT_H_

#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "te/base/clock.h"
#include "te/base/incarnation.h"
#include "te/base/mutex.h"
#include "te/transport/exposed_memory.h"
#include "te/transport/local_memory.h"
#include "te/transport/peer_channel.h"
#include "te/transport/slice.h"
#include "te/transport/transport.h"

namespace te {

class FakeTransport;

// Where fake transports of one test meet. Outlives them. Thread-safe.
class FakeNetwork {
 public:
  // The i-th slice that any rail carries, from 0, ends with what this returns,
  // unless it is OK: then it is done. Called on the posting thread.
  using Script = std::function<absl::Status(uint64_t index, const Slice&)>;

  void set_script(Script script) {
    MutexLock lock(mutex_);
    script_ = std::make_shared<const Script>(std::move(script));
  }
  // The next `count` calls of Connect fail with `status`.
  void FailConnects(int count, absl::Status status) {
    MutexLock lock(mutex_);
    connects_to_fail_ = count;
    connect_error_ = std::move(status);
  }
  // The next `count` calls of Fence fail with `status`.
  void FailFences(int count, absl::Status status) {
    MutexLock lock(mutex_);
    fences_to_fail_ = count;
    fence_error_ = std::move(status);
  }
  // Called within each Connect from now on, which lasts as long.
  void set_on_connect(std::function<void()> on_connect) {
    MutexLock lock(mutex_);
    on_connect_ = std::move(on_connect);
  }
  // Called within each RegisterMemory from now on, which fails if this does.
  void set_on_register(
      std::function<absl::Status(const LocalMemory&)> on_register) {
    MutexLock lock(mutex_);
    on_register_ = std::move(on_register);
  }
  // From now on slices stay, unsent, with the rail they are posted to.
  void Hold() {
    MutexLock lock(mutex_);
    holding_ = true;
  }
  // Lets them go when the rail is next polled or posted to.
  void Release() {
    MutexLock lock(mutex_);
    holding_ = false;
  }

  // Called at the end of each time that somebody polled a rail.
  void set_on_polled(std::function<void()> on_polled) {
    MutexLock lock(mutex_);
    on_polled_ = std::move(on_polled);
  }

  // From now on rails say that they reach such registered memory only, and
  // which it is.
  void ReachOnly(std::function<bool(const LocalMemory&)> reached) {
    MutexLock lock(mutex_);
    reached_ = std::move(reached);
  }

  // From now on a refused access breaks its rail, as with hardware.
  void BreakRailsOnRefusals() {
    MutexLock lock(mutex_);
    refusals_break_ = true;
  }

  // How often slices were carried, and Connect and Fence were called.
  uint64_t slices() const {
    MutexLock lock(mutex_);
    return slices_;
  }
  int connects() const {
    MutexLock lock(mutex_);
    return connects_;
  }
  int fences() const {
    MutexLock lock(mutex_);
    return fences_;
  }
  // How many buffers are registered with the transports.
  size_t registered() const {
    MutexLock lock(mutex_);
    return registered_.size();
  }

 private:
  friend class FakeRail;
  friend class FakeTransport;

  struct Registration {
    LocalMemory memory;
    std::string key;
  };

  bool holding() const {
    MutexLock lock(mutex_);
    return holding_;
  }
  std::function<void()> on_polled() const {
    MutexLock lock(mutex_);
    return on_polled_;
  }
  bool refusals_break() const {
    MutexLock lock(mutex_);
    return refusals_break_;
  }
  bool is_limited() const {
    MutexLock lock(mutex_);
    return reached_ != nullptr;
  }
  bool Reaches(absl::string_view key) const;
  absl::Status NextConnect();
  absl::Status NextFence();
  absl::Status NextSlice(const Slice& slice);
  // Whether the transports have registered what the slice says it uses.
  absl::Status CheckLocal(const FakeTransport* client, const Slice& slice) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);
  absl::Status CheckKey(const FakeTransport* server, const Slice& slice) const
      ABSL_EXCLUSIVE_LOCKS_REQUIRED(mutex_);

  mutable Mutex mutex_;
  std::shared_ptr<const Script> script_ ABSL_GUARDED_BY(mutex_);
  int connects_to_fail_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Status connect_error_ ABSL_GUARDED_BY(mutex_);
  int fences_to_fail_ ABSL_GUARDED_BY(mutex_) = 0;
  absl::Status fence_error_ ABSL_GUARDED_BY(mutex_);
  std::function<void()> on_connect_ ABSL_GUARDED_BY(mutex_);
  std::function<absl::Status(const LocalMemory&)> on_register_
      ABSL_GUARDED_BY(mutex_);
  std::function<void()> on_polled_ ABSL_GUARDED_BY(mutex_);
  std::function<bool(const LocalMemory&)> reached_ ABSL_GUARDED_BY(mutex_);
  bool refusals_break_ ABSL_GUARDED_BY(mutex_) = false;
  bool holding_ ABSL_GUARDED_BY(mutex_) = false;
  uint64_t slices_ ABSL_GUARDED_BY(mutex_) = 0;
  int connects_ ABSL_GUARDED_BY(mutex_) = 0;
  int fences_ ABSL_GUARDED_BY(mutex_) = 0;
  // The transport that accepted each session.
  std::map<uint64_t, FakeTransport*> sessions_ ABSL_GUARDED_BY(mutex_);
  uint64_t next_session_ ABSL_GUARDED_BY(mutex_) = 1;
  // By transport and slot.
  std::map<std::pair<const FakeTransport*, uint32_t>, Registration> registered_
      ABSL_GUARDED_BY(mutex_);
  uint64_t next_key_ ABSL_GUARDED_BY(mutex_) = 1;
};

// A transport within one process, for tests of what stands above transports:
// copies on the posting thread, as the network's script says. It could do
// without keys, but makes sure that memory is registered and slices have the
// right ones. Destroy the rails of its peers, or disconnect them, before the
// transport. Thread-safe.
class FakeTransport final : public Transport {
 public:
  FakeTransport(std::shared_ptr<FakeNetwork> network, const Incarnation& self,
                ExposedMemory& memory, std::string name = "fake")
      : network_(std::move(network)),
        self_(self),
        memory_(memory),
        name_(std::move(name)) {}
  // All memory must have been unregistered.
  ~FakeTransport() override;

  absl::string_view name() const override { return name_; }
  absl::StatusOr<Rails> Connect(const PeerIdentity& peer, uint64_t rail_id,
                                std::shared_ptr<PeerChannel> channel,
                                MonotonicTime deadline) override;
  // Counts: what a closed rail has sent has arrived.
  absl::Status Fence(const PeerIdentity& peer, uint64_t rail_id,
                     PeerChannel& channel, MonotonicTime deadline) override;
  absl::StatusOr<std::string> Accept(const Incarnation& client,
                                     absl::string_view request,
                                     MonotonicTime deadline) override;
  void DisconnectPeers() override;
  absl::StatusOr<std::string> RegisterMemory(
      const LocalMemory& memory) override;
  void UnregisterMemory(uint32_t slot) override;

 private:
  friend class FakeRail;

  const std::shared_ptr<FakeNetwork> network_;
  const Incarnation self_;
  ExposedMemory& memory_;
  const std::string name_;
  // By client and rail. Guarded by the network's mutex.
  std::map<std::string, uint64_t> accepted_;
};

}  // namespace te

#endif  // TE_TRANSPORT_FAKE_TRANSPORT_H_
