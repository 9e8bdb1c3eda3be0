// A peer's descriptor may be any bytes. What is accepted must serialize and
// read back to the same value.

#include <stddef.h>
#include <stdint.h>

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "glog/logging.h"
#include "te/metadata/segment_descriptor.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  absl::StatusOr<te::SegmentDescriptor> descriptor =
      te::SegmentDescriptor::Parse(
          absl::string_view(reinterpret_cast<const char*>(data), size));
  if (!descriptor.ok()) return 0;
  absl::StatusOr<std::string> bytes = descriptor->Serialize();
  CHECK(bytes.ok()) << bytes.status();
  absl::StatusOr<te::SegmentDescriptor> again =
      te::SegmentDescriptor::Parse(*bytes);
  CHECK(again.ok()) << again.status();
  CHECK(*again == *descriptor);
  return 0;
}
