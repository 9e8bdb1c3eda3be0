#include "te/metadata/server/snapshot_keeper.h"

#include <cstdint>
#include <memory>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "te/base/status_macros.h"
#include "te/metadata/in_process_store.h"
#include "te/metadata/server/snapshot.h"

namespace te::metadata_server {

absl::StatusOr<std::unique_ptr<SnapshotKeeper>> SnapshotKeeper::Create(
    InProcessStore& store, const std::string& path) {
  const absl::StatusOr<StoreContents> contents = ReadSnapshot(path);
  absl::Status taken = contents.status();
  if (contents.ok()) taken = store.Import(*contents);
  if (!taken.ok() && !absl::IsNotFound(taken)) {
    return absl::Status(taken.code(),
                        absl::StrCat("snapshot file ", path,
                                     " cannot be used: ", taken.message(),
                                     "; move it away to begin empty"));
  }
  std::unique_ptr<SnapshotKeeper> keeper(new SnapshotKeeper(store, path));
  TE_RETURN_IF_ERROR(keeper->Save());
  return keeper;
}

absl::Status SnapshotKeeper::Save() {
  // Before the export: a change in between is written again the next time.
  const uint64_t changes = store_.changes();
  if (changes == saved_) return absl::OkStatus();
  TE_RETURN_IF_ERROR(WriteSnapshot(path_, store_.Export()));
  saved_ = changes;
  return absl::OkStatus();
}

}  // namespace te::metadata_server
