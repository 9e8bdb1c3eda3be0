#ifndef TE_TRANSPORT_HUGE_PAGES_H_
#define TE_TRANSPORT_HUGE_PAGES_H_

#include <cstdint>

namespace te {

// On what pages memory is to be allocated.
enum class HugePages : uint8_t {
  // Reserved ones (hugetlb) if there are enough of them for all of it, and it
  // fills one at least; else transparent ones where the kernel gives them to
  // shared memory; else small ones.
  kIfAvailable,
  // Reserved ones, or an error.
  kRequired,
  kNever,
};

}  // namespace te

#endif  // TE_TRANSPORT_HUGE_PAGES_H_
