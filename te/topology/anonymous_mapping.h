#ifndef TE_TOPOLOGY_ANONYMOUS_MAPPING_H_
#define TE_TOPOLOGY_ANONYMOUS_MAPPING_H_

#include <stddef.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

#include <vector>

#include "glog/logging.h"

namespace te {

// Memory of its own, in small pages that nobody has touched, for tests.
class AnonymousMapping {
 public:
  explicit AnonymousMapping(size_t bytes)
      : bytes_(bytes),
        data_(static_cast<char*>(
            mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0))) {
    PCHECK(data_ != MAP_FAILED) << "map " << bytes << " bytes";
    // A kernel that refuses has none.
    madvise(data_, bytes, MADV_NOHUGEPAGE);
  }
  ~AnonymousMapping() { munmap(data_, bytes_); }
  AnonymousMapping(const AnonymousMapping&) = delete;
  AnonymousMapping& operator=(const AnonymousMapping&) = delete;

  char* data() const { return data_; }
  uint64_t address() const { return reinterpret_cast<uint64_t>(data_); }

  // How many of its pages there are so far.
  size_t resident_pages() const {
    std::vector<unsigned char> in_core(bytes_ / getpagesize());
    PCHECK(mincore(data_, bytes_, in_core.data()) == 0);
    size_t count = 0;
    for (const unsigned char page : in_core) count += page & 1;
    return count;
  }

 private:
  const size_t bytes_;
  char* const data_;
};

}  // namespace te

#endif  // TE_TOPOLOGY_ANONYMOUS_MAPPING_H_
