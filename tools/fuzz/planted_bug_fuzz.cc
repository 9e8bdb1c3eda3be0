#include <cstddef>
#include <cstdint>
#include <cstdlib>

// Has a bug that no file of the corpus shows but a small change to one does.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size > 3 && data[0] == 'k' && data[size - 1] >= 0x80) std::abort();
  return 0;
}
