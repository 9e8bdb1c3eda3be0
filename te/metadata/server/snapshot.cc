#include "te/metadata/server/snapshot.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <climits>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <filesystem>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/string_view.h"
#include "te/base/crc32c.h"
#include "te/base/errno_status.h"
#include "te/base/status_macros.h"
#include "te/base/unique_fd.h"
#include "te/metadata/in_process_store.h"
#include "te/metadata/metadata_store.h"
#include "te/metadata/server/snapshot.pb.h"

namespace te::metadata_server {
namespace {

constexpr absl::string_view kFamily = "te-metadata-snapshot ";
constexpr absl::string_view kFormat = "te-metadata-snapshot 1 crc32c ";
constexpr size_t kCrcDigits = 8;
constexpr size_t kFirstLine = kFormat.size() + kCrcDigits + 1;

std::string FirstLine(absl::string_view body) {
  const uint32_t crc = ExtendCrc32c(
      0, reinterpret_cast<const std::byte*>(body.data()), body.size());
  return absl::StrCat(kFormat, absl::StrFormat("%08x", crc), "\n");
}

absl::Status FileError(int error, absl::string_view what,
                       const std::string& path) {
  return ErrnoToStatus(error, absl::StrCat(what, " ", path));
}

absl::Status WriteAll(int fd, absl::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t count = write(fd, bytes.data(), bytes.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return ErrnoToStatus(errno, "write");
    bytes.remove_prefix(static_cast<size_t>(count));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> ReadAll(int fd) {
  std::string bytes;
  std::array<char, 64 << 10> piece;
  for (;;) {
    const ssize_t count = read(fd, piece.data(), piece.size());
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return ErrnoToStatus(errno, "read");
    if (count == 0) return bytes;
    bytes.append(piece.data(), static_cast<size_t>(count));
  }
}

// Makes the renaming of a file within it last.
absl::Status SyncDirectoryOf(const std::string& path) {
  std::string directory = std::filesystem::path(path).parent_path().string();
  if (directory.empty()) directory = ".";
  const UniqueFd fd(
      open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid() || fsync(fd.get()) != 0) {
    return FileError(errno, "sync the directory", directory);
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::string> SerializeSnapshot(const StoreContents& contents) {
  Snapshot snapshot;
  snapshot.set_last_version(contents.last_version);
  for (const StoreContents::Entry& from : contents.entries) {
    Snapshot::Entry& to = *snapshot.add_entries();
    to.set_key(from.key);
    to.set_version(from.version);
    to.set_replaced(from.replaced);
    to.set_lease_ms(LeaseMilliseconds(from.lease));
    for (const auto& [part, version] : from.parts) {
      Snapshot::Part& part_to = *to.add_parts();
      part_to.set_number(part.number);
      part_to.set_bytes(part.bytes);
      part_to.set_version(version);
    }
  }
  if (snapshot.ByteSizeLong() > INT_MAX) {
    return absl::ResourceExhaustedError(absl::StrCat(
        "a snapshot of ", snapshot.ByteSizeLong(), " bytes exceeds 2 GiB"));
  }
  const std::string body = snapshot.SerializeAsString();
  return FirstLine(body) + body;
}

absl::StatusOr<StoreContents> ParseSnapshot(absl::string_view bytes) {
  const absl::string_view body =
      bytes.substr(std::min(bytes.size(), kFirstLine));
  if (!absl::StartsWith(bytes, kFormat)) {
    return absl::StartsWith(bytes, kFamily)
               ? absl::UnimplementedError(
                     "the snapshot has a newer format; upgrade this te")
               : absl::DataLossError("this is no snapshot");
  }
  if (bytes.substr(0, kFirstLine) != FirstLine(body)) {
    return absl::DataLossError("the snapshot is damaged: its checksum differs");
  }
  Snapshot snapshot;
  if (body.size() > INT_MAX ||
      !snapshot.ParseFromArray(body.data(), static_cast<int>(body.size()))) {
    return absl::DataLossError("the snapshot is malformed");
  }
  StoreContents contents = {.last_version = snapshot.last_version()};
  contents.entries.reserve(static_cast<size_t>(snapshot.entries_size()));
  for (Snapshot::Entry& from : *snapshot.mutable_entries()) {
    StoreContents::Entry& to = contents.entries.emplace_back();
    to.key = std::move(*from.mutable_key());
    to.version = from.version();
    to.replaced = from.replaced();
    to.lease = LeaseFromMilliseconds(from.lease_ms());
    for (Snapshot::Part& part : *from.mutable_parts()) {
      to.parts.push_back({.part = {.number = part.number(),
                                   .bytes = std::move(*part.mutable_bytes())},
                          .version = part.version()});
    }
  }
  return contents;
}

absl::Status WriteSnapshot(const std::string& path,
                           const StoreContents& contents) {
  TE_ASSIGN_OR_RETURN(const std::string bytes, SerializeSnapshot(contents));
  const std::string fresh = path + ".new";
  const UniqueFd fd(
      open(fresh.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!fd.valid()) return FileError(errno, "make the snapshot file", fresh);
  const absl::Status written = WriteAll(fd.get(), bytes);
  if (!written.ok()) {
    return absl::Status(written.code(), absl::StrCat("snapshot file ", fresh,
                                                     ": ", written.message()));
  }
  if (fsync(fd.get()) != 0) {
    return FileError(errno, "sync the snapshot file", fresh);
  }
  if (rename(fresh.c_str(), path.c_str()) != 0) {
    return FileError(errno, "rename the snapshot file to", path);
  }
  return SyncDirectoryOf(path);
}

absl::StatusOr<StoreContents> ReadSnapshot(const std::string& path) {
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK));
  if (!fd.valid()) return FileError(errno, "open the snapshot file", path);
  struct stat file = {};
  if (fstat(fd.get(), &file) != 0) {
    return FileError(errno, "look at the snapshot file", path);
  }
  // A device may go on for ever.
  if (!S_ISREG(file.st_mode)) {
    return absl::DataLossError("this is no regular file");
  }
  if (file.st_size > int64_t{INT_MAX} + int64_t{kFirstLine}) {
    return absl::DataLossError("the file is larger than a snapshot can be");
  }
  const absl::StatusOr<std::string> bytes = ReadAll(fd.get());
  if (!bytes.ok()) return bytes.status();
  return ParseSnapshot(*bytes);
}

}  // namespace te::metadata_server
