#include "te/metadata/host_identity.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_split.h"
#include "absl/strings/string_view.h"
#include "absl/strings/strip.h"
#include "te/base/errno_status.h"
#include "te/base/status_macros.h"
#include "te/base/unique_fd.h"

namespace te {
namespace {

absl::Status Unexpected(const std::string& path, absl::string_view text) {
  return absl::InternalError(absl::StrCat(
      "read ", path, ": cannot understand '", absl::CHexEscape(text), "'"));
}

// These files are far shorter than a page.
absl::StatusOr<std::string> ReadFile(const std::string& path) {
  UniqueFd fd(open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) return ErrnoToStatus(errno, absl::StrCat("open ", path));
  char buffer[4096];
  ssize_t count = read(fd.get(), buffer, sizeof(buffer));
  if (count < 0) return ErrnoToStatus(errno, absl::StrCat("read ", path));
  return std::string(buffer, static_cast<size_t>(count));
}

absl::StatusOr<std::string> ReadBootId(const std::string& path) {
  absl::StatusOr<std::string> text = ReadFile(path);
  if (absl::IsNotFound(text.status())) return std::string();
  if (!text.ok()) return text.status();
  absl::StripAsciiWhitespace(&*text);
  return *text;
}

// The link reads "pid:[4026531836]".
absl::StatusOr<uint64_t> ReadNamespace(const std::string& path) {
  char buffer[256];
  ssize_t count = readlink(path.c_str(), buffer, sizeof(buffer));
  if (count < 0 && errno == ENOENT) return 0;  // a kernel without this kind
  if (count < 0) return ErrnoToStatus(errno, absl::StrCat("readlink ", path));
  absl::string_view text(buffer, static_cast<size_t>(count));
  absl::string_view digits = text.substr(text.find('[') + 1);
  uint64_t inode;
  if (!absl::ConsumeSuffix(&digits, "]") || !absl::SimpleAtoi(digits, &inode)) {
    return Unexpected(path, text);
  }
  return inode;
}

// proc(5): "pid (command) state ppid ...", and the start time is field 22. The
// command may hold spaces and parentheses, so counting begins behind the last.
absl::Status ReadStat(const std::string& path, HostIdentity& identity,
                      bool& dead) {
  TE_ASSIGN_OR_RETURN(std::string text, ReadFile(path));
  constexpr size_t kThreads = 20 - 3;  // the first field behind ')' is 3
  constexpr size_t kStartTime = 22 - 3;
  size_t close = text.rfind(") ");
  if (close == std::string::npos) return Unexpected(path, text);
  std::vector<absl::string_view> fields =
      absl::StrSplit(absl::string_view(text).substr(close + 2), ' ');
  uint64_t threads = 0;
  if (fields.size() <= kStartTime ||
      !absl::SimpleAtoi(fields[kThreads], &threads) ||
      !absl::SimpleAtoi(text.substr(0, text.find(' ')), &identity.pid) ||
      !absl::SimpleAtoi(fields[kStartTime], &identity.process_start_time)) {
    return Unexpected(path, text);
  }
  // A process whose first thread has ended alone looks like a zombie too.
  dead = (fields[0] == "Z" && threads <= 1) || fields[0] == "X";
  return absl::OkStatus();
}

}  // namespace

absl::StatusOr<HostIdentity> HostIdentity::ReadSelf(
    const std::string& proc_root) {
  HostIdentity identity;
  TE_ASSIGN_OR_RETURN(
      identity.boot_id,
      ReadBootId(absl::StrCat(proc_root, "/sys/kernel/random/boot_id")));
  const std::string namespaces = absl::StrCat(proc_root, "/self/ns/");
  TE_ASSIGN_OR_RETURN(identity.pid_namespace,
                      ReadNamespace(absl::StrCat(namespaces, "pid")));
  TE_ASSIGN_OR_RETURN(identity.ipc_namespace,
                      ReadNamespace(absl::StrCat(namespaces, "ipc")));
  TE_ASSIGN_OR_RETURN(identity.net_namespace,
                      ReadNamespace(absl::StrCat(namespaces, "net")));
  bool dead = false;
  TE_RETURN_IF_ERROR(
      ReadStat(absl::StrCat(proc_root, "/self/stat"), identity, dead));
  return identity;
}

bool HostIdentity::IsGone(const HostIdentity& self) const {
  if (!IsOnSameHostAs(self) || pid_namespace == 0 ||
      pid_namespace != self.pid_namespace || pid == 0 || pid > INT_MAX) {
    return false;
  }
  // Not by /proc alone, which a host may hide (hidepid in proc(5)).
  if (kill(static_cast<pid_t>(pid), 0) != 0 && errno == ESRCH) return true;
  HostIdentity now;
  bool dead = false;
  if (!ReadStat(absl::StrCat("/proc/", pid, "/stat"), now, dead).ok()) {
    return false;
  }
  return dead || now.process_start_time != process_start_time;
}

}  // namespace te
