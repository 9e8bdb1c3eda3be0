#include "te/metadata/server/snapshot_keeper.h"

#include <fcntl.h>
#include <sys/file.h>

#include <cerrno>
#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "te/base/errno_status.h"
#include "te/base/status_macros.h"
#include "te/base/unique_fd.h"
#include "te/metadata/in_process_store.h"
#include "te/metadata/server/snapshot.h"

namespace te::metadata_server {
namespace {

absl::StatusOr<UniqueFd> Lock(const std::string& path) {
  const std::string name = path + ".lock";
  UniqueFd fd(open(name.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  if (!fd.valid()) {
    return ErrnoToStatus(errno, absl::StrCat("make the lock file ", name));
  }
  if (flock(fd.get(), LOCK_EX | LOCK_NB) == 0) return fd;
  if (errno != EWOULDBLOCK) {
    return ErrnoToStatus(errno, absl::StrCat("lock ", name));
  }
  return absl::FailedPreconditionError(
      absl::StrCat("another process keeps its snapshot at ", path,
                   "; give each server a file of its own"));
}

}  // namespace

absl::StatusOr<std::unique_ptr<SnapshotKeeper>> SnapshotKeeper::Create(
    InProcessStore& store, const std::string& path) {
  TE_ASSIGN_OR_RETURN(UniqueFd lock, Lock(path));
  const absl::StatusOr<StoreContents> contents = ReadSnapshot(path);
  absl::Status taken = contents.status();
  if (contents.ok()) taken = store.Import(*contents);
  if (!taken.ok() && !absl::IsNotFound(taken)) {
    return absl::Status(taken.code(),
                        absl::StrCat("snapshot file ", path,
                                     " cannot be used: ", taken.message(),
                                     "; move it away to begin empty"));
  }
  std::unique_ptr<SnapshotKeeper> keeper(
      new SnapshotKeeper(store, path, std::move(lock)));
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
