// A snapshot may have been damaged, or be another file. What is read and what a
// store takes is written again as the same.

#include <stddef.h>
#include <stdint.h>

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "glog/logging.h"
#include "te/metadata/in_process_store.h"
#include "te/metadata/server/snapshot.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using te::metadata_server::ParseSnapshot;
  using te::metadata_server::SerializeSnapshot;
  const absl::StatusOr<te::StoreContents> contents = ParseSnapshot(
      absl::string_view(reinterpret_cast<const char*>(data), size));
  if (!contents.ok()) return 0;
  te::InProcessStore store;
  if (!store.Import(*contents).ok()) return 0;
  const absl::StatusOr<std::string> bytes = SerializeSnapshot(store.Export());
  CHECK(bytes.ok()) << bytes.status();
  const absl::StatusOr<te::StoreContents> again = ParseSnapshot(*bytes);
  CHECK(again.ok()) << again.status();
  // Apart from the last version: the store goes on from its clock.
  CHECK(again->entries == contents->entries);
  CHECK_GE(again->last_version, contents->last_version);
  return 0;
}
