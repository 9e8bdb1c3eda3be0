// Any 32 bytes may come in place of a header or an entry. What is accepted must
// encode to bytes that are read the same way.

#include <stddef.h>
#include <stdint.h>

#include <array>
#include <cstddef>

#include "absl/status/statusor.h"
#include "glog/logging.h"
#include "te/transport/tcp/frame.h"

namespace te::tcp {
namespace {

using Bytes = std::array<std::byte, 32>;

template <typename Part>
void RoundTrip(absl::StatusOr<Part> (*decode)(const std::byte*),
               const Bytes& bytes) {
  const absl::StatusOr<Part> part = decode(bytes.data());
  if (!part.ok()) return;
  Bytes encoded;
  Encode(*part, encoded.data());
  const absl::StatusOr<Part> again = decode(encoded.data());
  CHECK(again.ok()) << again.status();
  Bytes twice;
  Encode(*again, twice.data());
  CHECK(encoded == twice);
}

}  // namespace
}  // namespace te::tcp

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  te::tcp::Bytes bytes = {};
  for (size_t i = 0; i < size && i < bytes.size(); ++i) {
    bytes[i] = static_cast<std::byte>(data[i]);
  }
  te::tcp::RoundTrip(te::tcp::DecodeHeader, bytes);
  te::tcp::RoundTrip(te::tcp::DecodeHello, bytes);
  te::tcp::RoundTrip(te::tcp::DecodeRequest, bytes);
  te::tcp::RoundTrip(te::tcp::DecodeResponse, bytes);
  return 0;
}
