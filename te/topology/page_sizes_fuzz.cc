// The kernel's text is taken for any bytes: no byte of a range may count twice.

#include <stddef.h>
#include <stdint.h>

#include <sstream>
#include <string>

#include "glog/logging.h"
#include "te/topology/page_sizes.h"

namespace te {
namespace {

void Check(const std::string& text, uint64_t address, uint64_t length) {
  std::istringstream smaps(text);
  const PageSizes sizes = ParsePageSizes(smaps, address, length);
  CHECK_LE(sizes.small_bytes, length);
  CHECK_LE(sizes.huge_bytes, length - sizes.small_bytes);
}

}  // namespace
}  // namespace te

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string text(reinterpret_cast<const char*>(data), size);
  te::Check(text, 0, UINT64_MAX);
  te::Check(text, UINT64_MAX, UINT64_MAX);
  te::Check(text, 0x7f0000000000, 64 << 20);
  te::Check(text, 0x7f0000001001, 1);
  return 0;
}
