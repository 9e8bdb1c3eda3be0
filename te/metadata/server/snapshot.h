#ifndef TE_METADATA_SERVER_SNAPSHOT_H_
#define TE_METADATA_SERVER_SNAPSHOT_H_

#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "te/metadata/in_process_store.h"

namespace te::metadata_server {

// A file with all that a store holds: a line that tells the format and the
// CRC32C of what follows, then a Snapshot (snapshot.proto).

// RESOURCE_EXHAUSTED for more than protobuf can write, 2 GiB.
absl::StatusOr<std::string> SerializeSnapshot(const StoreContents& contents);
// The bytes may be anything: DATA_LOSS. UNIMPLEMENTED for a newer format.
absl::StatusOr<StoreContents> ParseSnapshot(absl::string_view bytes);

// Writes a file of that name, whole or not at all: whoever reads it, even after
// a crash, finds the old contents or the new ones. Uses `path`.new. The cause
// from the system, with the file's name.
absl::Status WriteSnapshot(const std::string& path,
                           const StoreContents& contents);
// NOT_FOUND when there is no such file; otherwise as ParseSnapshot, or the
// cause from the system.
absl::StatusOr<StoreContents> ReadSnapshot(const std::string& path);

}  // namespace te::metadata_server

#endif  // TE_METADATA_SERVER_SNAPSHOT_H_
