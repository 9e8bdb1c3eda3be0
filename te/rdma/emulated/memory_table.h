#ifndef TE_RDMA_EMULATED_MEMORY_TABLE_H_
#define TE_RDMA_EMULATED_MEMORY_TABLE_H_

#include <infiniband/verbs.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <unordered_map>

namespace te::rdma::emulated {

// A protection domain. Owned by its DeviceState; guarded by the wire's mutex.
struct EmulatedPd : ibv_pd {
  int users = 0;  // memory regions and queue pairs
};

// A memory region. Owned by its MemoryTable. Constant.
struct EmulatedMr : ibv_mr {
  unsigned int access = 0;
};

// The memory regions of a device by their keys. Not thread-safe: guarded by the
// wire's mutex, which also covers the accesses that the table allows, so none
// is under way when Remove returns.
class MemoryTable {
 public:
  // Keys of the table start with `salt`, so that those of two devices differ
  // and a mix-up shows. No key is used twice before 2^23 registrations.
  explicit MemoryTable(uint8_t salt) : next_key_(uint32_t{salt} << 24) {}

  // 0 if memory may be registered with these flags, else EINVAL.
  static int CheckAccessFlags(unsigned int access);

  // Gives the region its keys. The local and the remote one differ, as on some
  // devices, so that a mix-up shows.
  EmulatedMr& Add(std::unique_ptr<EmulatedMr> mr);
  void Remove(EmulatedMr& mr);
  size_t size() const { return by_lkey_.size(); }

  // Whether a queue pair of `pd` may read, or write, the memory of `sge`.
  // Nothing is checked where there is no byte.
  bool MayAccessLocally(const ibv_pd* pd, const ibv_sge& sge, bool write) const;
  // Whether the peer of a queue pair of `pd` may access the memory as `access`,
  // one of IBV_ACCESS_REMOTE_…, says.
  bool MayAccessRemotely(const ibv_pd* pd, uint32_t rkey, uint64_t address,
                         uint64_t length, unsigned int access) const;

 private:
  uint32_t next_key_;
  std::unordered_map<uint32_t, std::unique_ptr<EmulatedMr>> by_lkey_;
  std::unordered_map<uint32_t, EmulatedMr*> by_rkey_;
};

}  // namespace te::rdma::emulated

#endif  // TE_RDMA_EMULATED_MEMORY_TABLE_H_
