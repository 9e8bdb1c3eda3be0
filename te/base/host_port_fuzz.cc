// The address syntax must survive any bytes, and print what it reads back.

#include <stddef.h>
#include <stdint.h>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "glog/logging.h"
#include "te/base/host_port.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  absl::string_view text(reinterpret_cast<const char*>(data), size);
  absl::StatusOr<te::HostPort> plain = te::HostPort::Parse(text);
  if (plain.ok()) {
    absl::StatusOr<te::HostPort> again = te::HostPort::Parse(plain->ToString());
    CHECK(again.ok()) << again.status();
    CHECK(*again == *plain);
  }
  absl::StatusOr<te::HostPortRange> range = te::HostPortRange::Parse(text);
  CHECK(range.ok() || !plain.ok()) << "a range reads all that a port does";
  if (range.ok()) {
    absl::StatusOr<te::HostPortRange> again =
        te::HostPortRange::Parse(range->ToString());
    CHECK(again.ok()) << again.status();
    CHECK(*again == *range);
  }
  return 0;
}
