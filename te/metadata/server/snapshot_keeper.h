#ifndef TE_METADATA_SERVER_SNAPSHOT_KEEPER_H_
#define TE_METADATA_SERVER_SNAPSHOT_KEEPER_H_

#include <cstdint>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "te/base/unique_fd.h"
#include "te/metadata/in_process_store.h"

namespace te::metadata_server {

// Keeps a store in a file. For one thread; others may use the store.
class SnapshotKeeper {
 public:
  // Fills the store from the file, if there is one, and writes it, so that what
  // is wrong with the file or the place shows now. `store` is borrowed.
  // FAILED_PRECONDITION while another one keeps a store there: the lock is on a
  // file beside it, "PATH.lock", since the file itself is replaced.
  static absl::StatusOr<std::unique_ptr<SnapshotKeeper>> Create(
      InProcessStore& store, const std::string& path);

  // Writes the file if the store has changed since.
  absl::Status Save();

 private:
  SnapshotKeeper(InProcessStore& store, const std::string& path, UniqueFd lock)
      : store_(store), path_(path), lock_(std::move(lock)) {}

  InProcessStore& store_;
  const std::string path_;
  const UniqueFd lock_;
  // InProcessStore::changes at the last Save; none is as high.
  uint64_t saved_ = UINT64_MAX;
};

}  // namespace te::metadata_server

#endif  // TE_METADATA_SERVER_SNAPSHOT_KEEPER_H_
