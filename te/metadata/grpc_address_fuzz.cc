// Addresses come from flags and files. What is accepted reads back as the same.

#include <stddef.h>
#include <stdint.h>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "glog/logging.h"
#include "te/metadata/grpc_address.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::StatusOr<te::GrpcAddress> address = te::GrpcAddress::Parse(
      absl::string_view(reinterpret_cast<const char*>(data), size));
  if (!address.ok()) return 0;
  const absl::StatusOr<te::GrpcAddress> again =
      te::GrpcAddress::Parse(address->ToString());
  CHECK(again.ok()) << again.status();
  CHECK(*again == *address) << address->ToString();
  return 0;
}
