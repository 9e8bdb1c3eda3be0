// Addresses come from flags and files. What is accepted is shown in a form that
// reads back to the same place.

#include <stddef.h>
#include <stdint.h>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "glog/logging.h"
#include "te/metadata/redis_address.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::StatusOr<te::RedisAddress> address = te::RedisAddress::Parse(
      absl::string_view(reinterpret_cast<const char*>(data), size));
  if (!address.ok()) return 0;
  te::RedisAddress place = *address;
  place.user.clear();
  place.password.clear();
  const absl::StatusOr<te::RedisAddress> again =
      te::RedisAddress::Parse(place.ToString());
  CHECK(again.ok()) << again.status();
  CHECK(*again == place) << place.ToString();
  return 0;
}
