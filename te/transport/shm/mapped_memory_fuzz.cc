// Notices of an owner may say anything, at any time, also while memory that it
// has sent is in use.

#include <fcntl.h>
#include <stddef.h>
#include <stdint.h>

#include <cstddef>
#include <cstring>
#include <utility>
#include <vector>

#include "glog/logging.h"
#include "te/base/unique_fd.h"
#include "te/transport/mappable_bytes.h"
#include "te/transport/shm/mapped_memory.h"
#include "te/transport/shm/mapping_id.h"

namespace {

using te::MappableBytes;
using te::shm::MappedMemory;
using te::shm::MappingId;

constexpr size_t kBytes = 4096;

// What happens next.
struct Step {
  MappingId mapping;
  uint64_t offset;
  uint32_t bytes;
  // Which of the cases below, and whether to write.
  uint8_t what;
  uint8_t write;
};

struct Use {
  MappingId mapping;
  std::byte* data;
};

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const MappableBytes theirs(kBytes);
  MappedMemory mapped;
  std::vector<Use> uses;
  for (Step step; size >= sizeof(step);
       data += sizeof(step), size -= sizeof(step)) {
    memcpy(&step, data, sizeof(step));
    switch (step.what % 4) {
      case 0:
        mapped
            .Map(step.mapping,
                 te::UniqueFd(fcntl(theirs.fd(), F_DUPFD_CLOEXEC, 0)),
                 step.write % 2 == 1)
            .IgnoreError();
        break;
      case 1:
        mapped.Unmap(step.mapping.index);
        break;
      case 2: {
        std::byte* const at = mapped.Enter(step.mapping, step.offset,
                                           step.bytes, step.write % 2 == 1);
        if (at == nullptr) break;
        CHECK_LE(step.offset, kBytes);
        CHECK_LE(step.bytes, kBytes - step.offset);
        uses.push_back({.mapping = step.mapping, .data = at - step.offset});
        break;
      }
      case 3:
        if (uses.empty()) break;
        mapped.Leave(uses.back().mapping);
        uses.pop_back();
        break;
    }
    // Whatever the owner says, who is inside can read.
    for (const Use& use : uses) {
      CHECK(use.data[0] == std::byte{} && use.data[kBytes - 1] == std::byte{});
    }
  }
  for (const Use& use : uses) mapped.Leave(use.mapping);
  return 0;
}
