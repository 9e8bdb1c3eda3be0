#include "te/rdma/emulated/memory_table.h"

#include <cerrno>
#include <utility>

#include "glog/logging.h"

namespace te::rdma::emulated {
namespace {

constexpr unsigned int kKnownAccess =
    unsigned{IBV_ACCESS_LOCAL_WRITE} | unsigned{IBV_ACCESS_REMOTE_WRITE} |
    unsigned{IBV_ACCESS_REMOTE_READ} | unsigned{IBV_ACCESS_REMOTE_ATOMIC};

bool Contains(const EmulatedMr& mr, uint64_t address, uint64_t length) {
  const uint64_t begin = reinterpret_cast<uint64_t>(mr.addr);
  return address >= begin && length <= mr.length &&
         address - begin <= mr.length - length;
}

}  // namespace

int MemoryTable::CheckAccessFlags(unsigned int access) {
  const unsigned int required = access & ~unsigned{IBV_ACCESS_OPTIONAL_RANGE};
  if ((required & ~kKnownAccess) != 0) return EINVAL;
  // man 3 ibv_reg_mr: who may be written to from afar must be writable here.
  constexpr unsigned int kRemoteWrites =
      unsigned{IBV_ACCESS_REMOTE_WRITE} | unsigned{IBV_ACCESS_REMOTE_ATOMIC};
  if ((access & kRemoteWrites) != 0 && (access & IBV_ACCESS_LOCAL_WRITE) == 0) {
    return EINVAL;
  }
  return 0;
}

EmulatedMr& MemoryTable::Add(std::unique_ptr<EmulatedMr> mr) {
  EmulatedMr& added = *mr;
  const uint32_t salt = next_key_ & 0xff000000;
  do {
    next_key_ = salt | ((next_key_ + 2) & 0x00ffffff);
    added.lkey = next_key_;
    added.rkey = next_key_ + 1;
  } while (by_lkey_.count(added.lkey) != 0);
  by_rkey_[added.rkey] = &added;
  by_lkey_[added.lkey] = std::move(mr);
  return added;
}

void MemoryTable::Remove(EmulatedMr& mr) {
  CHECK_EQ(by_rkey_.erase(mr.rkey), 1u) << "no such memory region";
  by_lkey_.erase(mr.lkey);
}

bool MemoryTable::MayAccessLocally(const ibv_pd* pd, const ibv_sge& sge,
                                   bool write) const {
  if (sge.length == 0) return true;
  const auto found = by_lkey_.find(sge.lkey);
  if (found == by_lkey_.end()) return false;
  const EmulatedMr& mr = *found->second;
  if (mr.pd != pd || !Contains(mr, sge.addr, sge.length)) return false;
  return !write || (mr.access & IBV_ACCESS_LOCAL_WRITE) != 0;
}

bool MemoryTable::MayAccessRemotely(const ibv_pd* pd, uint32_t rkey,
                                    uint64_t address, uint64_t length,
                                    unsigned int access) const {
  const auto found = by_rkey_.find(rkey);
  if (found == by_rkey_.end()) return false;
  const EmulatedMr& mr = *found->second;
  return mr.pd == pd && Contains(mr, address, length) &&
         (mr.access & access) == access;
}

}  // namespace te::rdma::emulated
