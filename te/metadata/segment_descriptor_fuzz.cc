// A peer's descriptor may be any bytes. What is accepted must serialize and
// read back to the same value. The first byte tells a head from a page.

#include <stddef.h>
#include <stdint.h>

#include <string>
#include <utility>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "glog/logging.h"
#include "te/base/incarnation.h"
#include "te/metadata/buffer_table.h"
#include "te/metadata/segment_descriptor.h"

namespace te {
namespace {

// Of the pages in the corpus.
const Incarnation kOwner({'0', '1', '2', '3', '4', '5', '6', '7', '8', '9', 'a',
                          'b', 'c', 'd', 'e', 'f'});

void TryHead(absl::string_view bytes) {
  const auto head = SegmentDescriptor::ParseHead(bytes);
  if (!head.ok()) return;
  const absl::StatusOr<std::string> written = head->SerializeHead();
  CHECK(written.ok()) << written.status();
  const auto again = SegmentDescriptor::ParseHead(*written);
  CHECK(again.ok()) << again.status();
  CHECK(*again == *head);
}

void TryPage(absl::string_view bytes) {
  const auto page = SegmentDescriptor::ParsePage(bytes, kOwner);
  if (!page.ok()) return;
  SegmentDescriptor owner;
  owner.incarnation = kOwner;
  owner.buffers.SetPage(0, *page);
  const absl::StatusOr<std::string> written = owner.SerializePage(0);
  CHECK(written.ok()) << written.status();
  const auto again = SegmentDescriptor::ParsePage(*written, kOwner);
  CHECK(again.ok()) << again.status();
  BufferTable expected = owner.buffers;
  owner.buffers.SetPage(0, *again);
  CHECK(owner.buffers == expected);
}

}  // namespace
}  // namespace te

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view bytes(reinterpret_cast<const char*>(data), size);
  if (bytes.empty()) return 0;
  if (bytes[0] == 'h') te::TryHead(bytes.substr(1));
  if (bytes[0] == 'p') te::TryPage(bytes.substr(1));
  return 0;
}
