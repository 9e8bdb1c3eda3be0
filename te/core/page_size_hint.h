#ifndef TE_CORE_PAGE_SIZE_HINT_H_
#define TE_CORE_PAGE_SIZE_HINT_H_

#include <atomic>
#include <cstddef>
#include <string>
#include <utility>

#include "te/core/request.h"

namespace te {

// Tells users once that their memory lies on small pages, which makes copies
// between processes (process_vm_readv) about a third as fast: the kernel looks
// up and pins each page. Looks at the first few large buffers alone, because
// that takes milliseconds. Thread-safe.
class PageSizeHint {
 public:
  // Smaller buffers are not worth a thought.
  static constexpr size_t kLargeBytes = 64 << 20;
  static constexpr int kLooks = 8;

  // `smaps` is the file that the kernel tells of mappings in.
  explicit PageSizeHint(std::string smaps) : smaps_(std::move(smaps)) {}

  // Of memory that a user has registered.
  void Consider(const MemoryRegion& region);

 private:
  const std::string smaps_;
  std::atomic<int> looks_{0};
  std::atomic<bool> given_{false};
};

}  // namespace te

#endif  // TE_CORE_PAGE_SIZE_HINT_H_
