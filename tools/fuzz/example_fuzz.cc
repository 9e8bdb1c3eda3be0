#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

// Parses "name=value" and checks that nothing gets lost.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const size_t separator = input.find('=');
  if (separator == std::string_view::npos) return 0;
  const std::string_view name = input.substr(0, separator);
  const std::string_view value = input.substr(separator + 1);
  if (name.size() + 1 + value.size() != size) std::abort();
  return 0;
}
