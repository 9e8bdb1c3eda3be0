#include "te/rdma/memory_regions.h"

#include <sys/resource.h>

#include <cerrno>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "te/base/errno_status.h"
#include "te/base/status_macros.h"
#include "te/base/thread.h"

namespace te::rdma {
namespace {

// From here on it pays to start threads: each device pins the pages, and maps
// them, by itself.
constexpr uint64_t kLong = uint64_t{16} << 20;

unsigned int AccessOf(const LocalMemory& memory, bool relaxed_ordering) {
  // READs, of whatever memory, write into it.
  unsigned int access = IBV_ACCESS_LOCAL_WRITE;
  if (memory.remote_read) access |= IBV_ACCESS_REMOTE_READ;
  if (memory.remote_write) access |= IBV_ACCESS_REMOTE_WRITE;
  if (relaxed_ordering) access |= IBV_ACCESS_RELAXED_ORDERING;
  return access;
}

std::string MemlockLimit() {
  rlimit limit = {};
  if (getrlimit(RLIMIT_MEMLOCK, &limit) != 0) return "unknown";
  return limit.rlim_cur == RLIM_INFINITY
             ? "unlimited"
             : absl::StrCat(limit.rlim_cur >> 10, " KiB");
}

// ENOMEM has many reasons, of which the kernel names none.
std::string Explain(int error, const Device& device,
                    const LocalMemory& memory) {
  const ibv_device_attr& limits = device.limits();
  if (memory.length > limits.max_mr_size) {
    return absl::StrCat("it is longer than the ", limits.max_mr_size,
                        " bytes that the device takes; register it in parts");
  }
  switch (error) {
    case ENOMEM:
    case EAGAIN:
      return absl::StrCat(
          "the memory cannot be pinned, or the device has no room for a memory "
          "region more. The limit of locked memory (ulimit -l) is ",
          MemlockLimit(),
          ": raise it to unlimited, in containers with --ulimit memlock=-1, in "
          "systemd with LimitMEMLOCK. The device has room for ",
          limits.max_mr, " regions: register fewer, larger ones");
    case EFAULT:
      return "not all of it is mapped, or it is mapped read-only";
    case EOPNOTSUPP:
    case EINVAL:
      return "the device does not take this kind of memory: a file's, of a "
             "device, or with these access rights";
    default:
      return "see the kernel's log";
  }
}

absl::StatusOr<MemoryRegionObject> RegisterOn(const Device& device,
                                              const LocalMemory& memory,
                                              unsigned int access) {
  if (device.fatal()) return MemoryRegionObject();
  MemoryRegionObject region(
      device.verbs(),
      device.verbs().RegMr(device.pd(), memory.address, memory.length, access));
  if (region) return region;
  const int error = errno;
  const absl::Status cause = ErrnoToStatus(error, "ibv_reg_mr");
  return absl::Status(
      absl::IsNotFound(cause) ? absl::StatusCode::kInternal : cause.code(),
      absl::StrCat(device.name(), " cannot register ", memory.length,
                   " bytes at 0x",
                   absl::Hex(reinterpret_cast<uint64_t>(memory.address)), ": ",
                   Explain(error, device, memory), " (", cause.message(), ")"));
}

void AppendKey(uint32_t key, std::string& keys) {
  for (size_t i = 0; i < kRemoteKeyBytes; ++i) {
    keys.push_back(static_cast<char>(key >> (8 * i)));
  }
}

}  // namespace

MemoryRegions::MemoryRegions(std::vector<Device*> devices,
                             bool relaxed_ordering, size_t max_slots)
    : devices_(std::move(devices)),
      relaxed_ordering_(relaxed_ordering),
      slots_(max_slots) {}

absl::StatusOr<std::string> MemoryRegions::Register(const LocalMemory& memory) {
  const unsigned int access = AccessOf(memory, relaxed_ordering_);
  std::vector<absl::StatusOr<MemoryRegionObject>> results(devices_.size());
  const auto work = [&](size_t i) {
    results[i] = RegisterOn(*devices_[i], memory, access);
  };
  {
    std::vector<Thread> others;
    for (size_t i = 1; i < devices_.size(); ++i) {
      absl::StatusOr<Thread> thread;
      if (memory.length >= kLong) {
        thread = Thread::Start({.name = "te-rdma-pin"}, [&, i] { work(i); });
      }
      // Without a thread of its own it takes longer, and that is all.
      thread.ok() ? others.push_back(*std::move(thread)) : work(i);
    }
    work(0);
  }
  std::string keys;
  Regions regions;
  for (absl::StatusOr<MemoryRegionObject>& result : results) {
    TE_RETURN_IF_ERROR(result.status());
    AppendKey(*result ? (*result)->rkey : 0, keys);
    regions.push_back(*std::move(result));
  }
  slots_[memory.slot] = std::move(regions);
  // Peers have no use for keys that allow nothing.
  return memory.remote_read || memory.remote_write ? keys : std::string();
}

void MemoryRegions::Unregister(uint32_t slot) { slots_[slot].clear(); }

}  // namespace te::rdma
