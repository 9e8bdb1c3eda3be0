#include "te/core/page_size_hint.h"

#include <cstdint>

#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "glog/logging.h"
#include "te/topology/page_sizes.h"

namespace te {

void PageSizeHint::Consider(const MemoryRegion& region) {
  if (region.length < kLargeBytes) return;
  if (given_ || looks_ >= kLooks || looks_.fetch_add(1) >= kLooks) return;
  const absl::StatusOr<PageSizes> sizes = FindPageSizes(
      smaps_, reinterpret_cast<uint64_t>(region.address), region.length);
  // A hint is not worth an error.
  if (!sizes.ok() || sizes->small_bytes <= region.length / 2) return;
  if (given_.exchange(true)) return;
  LOG(INFO) << "the buffer [0x"
            << absl::StrCat(
                   absl::Hex(reinterpret_cast<uint64_t>(region.address)))
            << ", +" << region.length
            << ") lies on small pages; on huge ones shared memory would move "
               "it up to 3 times as fast. Have AllocateMemory allocate it, or "
               "call madvise(MADV_HUGEPAGE) before it is touched, or map it "
               "with MAP_HUGETLB. Other buffers may do so too; this is said "
               "once";
}

}  // namespace te
