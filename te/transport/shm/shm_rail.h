#ifndef TE_TRANSPORT_SHM_SHM_RAIL_H_
#define TE_TRANSPORT_SHM_SHM_RAIL_H_

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "te/base/mutex.h"
#include "te/transport/shm/copy_bytes.h"
#include "te/transport/shm/copy_pool.h"
#include "te/transport/shm/copy_pools.h"
#include "te/transport/shm/grants.h"
#include "te/transport/shm/peer_link.h"
#include "te/transport/shm/waiting_slices.h"
#include "te/transport/slice.h"
#include "te/transport/slice_list.h"
#include "te/transport/transport.h"

namespace te::shm {

// Copies between memory of this process and of one peer, on whatever thread is
// there: that of Post if it is little, those that poll, and the pools'.
// Thread-safe.
class ShmRail final : public Rail,
                      public std::enable_shared_from_this<ShmRail> {
 public:
  // `pools` are used until Close has returned. `inline_bytes`: see ShmOptions.
  ShmRail(std::string name, std::unique_ptr<PeerLink> link,
          uint64_t inline_bytes, CopyPools& pools);
  ~ShmRail() override;

  void Post(absl::Span<Slice* const> slices) override;
  Progress Poll() override;
  // Nobody is woken when there is something to do.
  void BeginPolling() override {}
  void EndPolling() override {}
  void Withdraw(absl::FunctionRef<bool(const Slice&)> matches,
                const absl::Status& status) override;
  void Close(const absl::Status& why) override;
  bool is_link() const override { return false; }
  absl::Status health() const override;
  std::string limits() const override { return link_->limits(); }
  bool Reaches(absl::string_view key) const override;
  std::string name() const override { return name_; }

 private:
  class Copying;
  // What waits for the threads of one pool, or for who polls.
  class Share;
  // Slices whose copying is one system call.
  class Group;

  // False: nothing of that waited.
  bool CopySome(Share& share);
  // How to copy what begins there: how much is copied in a row, by this Post
  // and those before it.
  CopyWay WayFor(absl::Span<Slice* const> slices, uint64_t bytes);
  void Carry(SliceList slices, CopyWay way);
  // Pins the memory, or says why not.
  absl::Status Admit(const Slice& slice, Pinned& pinned);
  // Where the peer is this process.
  void CopyWithin(Slice& slice, const Pinned& pinned, CopyWay way);
  // Unless it is not mapped.
  bool CopyMapped(Slice& slice, const Pinned& pinned, CopyWay way);
  absl::Status CannotReach(const Pinned& pinned) const;
  // Of another process; empties the group.
  void CopyGroup(Group& group);
  void Finish(Slice& slice, uint32_t slot, absl::Status status);
  // What has happened to a slice concerns all of them.
  void Fail(const absl::Status& why);

  const std::string name_;
  const std::unique_ptr<PeerLink> link_;
  const uint64_t inline_bytes_;
  CopyPools& pools_;
  // One for each pool.
  std::vector<std::unique_ptr<Share>> shares_;

  // Where the latest Post ends, and how much has been copied in a row up to
  // there. Of threads that post at once one is right, which costs nothing but
  // time.
  std::atomic<uint64_t> row_end_{0};
  std::atomic<uint64_t> row_bytes_{0};
  // How many threads are copying.
  std::atomic<uint32_t> copying_{0};
  std::atomic<bool> failed_{false};
  mutable Mutex mutex_;
  absl::Status health_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace te::shm

#endif  // TE_TRANSPORT_SHM_SHM_RAIL_H_
