#include "te/program/text_file.h"

#include <fcntl.h>
#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "te/base/errno_status.h"
#include "te/base/status_macros.h"
#include "te/base/unique_fd.h"

namespace te::program {
namespace {

absl::StatusOr<std::string> ReadAll(int fd, const std::string& path,
                                    size_t max_bytes) {
  constexpr size_t kPiece = 64 << 10;
  std::string text;
  while (text.size() <= max_bytes) {
    const size_t before = text.size();
    text.resize(before + kPiece);
    const ssize_t length = read(fd, text.data() + before, kPiece);
    if (length < 0 && errno != EINTR) {
      return ErrnoToStatus(errno, absl::StrCat("read ", path));
    }
    text.resize(before + static_cast<size_t>(std::max<ssize_t>(length, 0)));
    if (length == 0) return text;
  }
  return absl::InvalidArgumentError(
      absl::StrCat(path, " has more than ", max_bytes, " bytes"));
}

absl::Status WriteAll(int fd, const std::string& path, absl::string_view text) {
  while (!text.empty()) {
    const ssize_t length = write(fd, text.data(), text.size());
    if (length < 0 && errno != EINTR) {
      return ErrnoToStatus(errno, absl::StrCat("write ", path));
    }
    text.remove_prefix(static_cast<size_t>(std::max<ssize_t>(length, 0)));
  }
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<std::string> ReadTextFile(const std::string& path,
                                         size_t max_bytes) {
  if (path == "-") return ReadAll(STDIN_FILENO, "stdin", max_bytes);
  const UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (fd.get() < 0) return ErrnoToStatus(errno, absl::StrCat("open ", path));
  return ReadAll(fd.get(), path, max_bytes);
}

absl::Status WriteTextFile(const std::string& path, absl::string_view text) {
  constexpr mode_t kMode = 0666;
  UniqueFd fd(
      open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, kMode));
  if (fd.get() < 0) return ErrnoToStatus(errno, absl::StrCat("open ", path));
  TE_RETURN_IF_ERROR(WriteAll(fd.get(), path, text));
  // Some file systems find out only now that there is no room.
  if (close(fd.release()) != 0) {
    return ErrnoToStatus(errno, absl::StrCat("close ", path));
  }
  return absl::OkStatus();
}

}  // namespace te::program
