#include "te/topology/sysfs.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <memory>
#include <optional>
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
#include "te/base/errno_status.h"
#include "te/base/unique_fd.h"
#include "te/topology/device_name.h"

namespace te {
namespace {

constexpr size_t kMaxAttribute = 4096;  // a page, as the kernel has it

absl::Status NoAttribute(absl::string_view path, absl::string_view why) {
  return absl::InvalidArgumentError(
      absl::StrCat(absl::CHexEscape(path), " ", why));
}

// Without symbolic links; empty if there is no such file.
std::string RealPath(const std::string& path) {
  const std::unique_ptr<char, void (*)(void*)> real(
      realpath(path.c_str(), nullptr), &free);
  return real == nullptr ? "" : real.get();
}

}  // namespace

std::string Sysfs::Whole(absl::string_view path) const {
  return absl::StrCat(root_, "/", path);
}

absl::StatusOr<std::string> Sysfs::Read(absl::string_view path) const {
  const std::string whole = Whole(path);
  // A copy may have a FIFO there, and opening that would wait for a writer.
  const UniqueFd fd(open(whole.c_str(), O_RDONLY | O_NONBLOCK | O_CLOEXEC));
  struct stat status = {};
  if (fd.get() < 0 || fstat(fd.get(), &status) != 0) {
    return ErrnoToStatus(errno, absl::StrCat("open ", whole));
  }
  if (!S_ISREG(status.st_mode)) return NoAttribute(whole, "is no file");
  char buffer[kMaxAttribute + 1];
  const ssize_t length = read(fd.get(), buffer, sizeof(buffer));
  if (length < 0) return ErrnoToStatus(errno, absl::StrCat("read ", whole));
  const absl::string_view text =
      absl::StripTrailingAsciiWhitespace({buffer, static_cast<size_t>(length)});
  if (text.size() > kMaxAttribute) {
    return NoAttribute(whole, "has more than 4096 bytes");
  }
  if (!std::all_of(text.begin(), text.end(), [](char c) {
        return absl::ascii_isprint(c) || absl::ascii_isspace(c);
      })) {
    return NoAttribute(whole, "is no text");
  }
  return std::string(text);
}

absl::StatusOr<std::vector<std::string>> Sysfs::List(
    absl::string_view folder) const {
  const std::string whole = Whole(folder);
  const std::unique_ptr<DIR, int (*)(DIR*)> directory(opendir(whole.c_str()),
                                                      &closedir);
  if (directory == nullptr) {
    return ErrnoToStatus(errno, absl::StrCat("list ", whole));
  }
  std::vector<std::string> names;
  while (const dirent* entry = readdir(directory.get())) {
    const std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(name);
  }
  std::sort(names.begin(), names.end(),
            [](const std::string& a, const std::string& b) {
              return DeviceNameLess(a, b);
            });
  return names;
}

bool Sysfs::Exists(absl::string_view path) const {
  return access(Whole(path).c_str(), F_OK) == 0;
}

std::string Sysfs::LinkName(absl::string_view path) const {
  char target[kMaxAttribute];
  const ssize_t length = readlink(Whole(path).c_str(), target, sizeof(target));
  if (length <= 0) return "";
  const absl::string_view text(target, static_cast<size_t>(length));
  return std::string(text.substr(text.rfind('/') + 1));
}

std::string Sysfs::RealName(absl::string_view path) const {
  const std::string real = RealPath(Whole(path));
  return real.substr(real.rfind('/') + 1);
}

std::optional<PciAddress> Sysfs::PciFunctionOf(absl::string_view path) const {
  const std::string real = RealPath(Whole(path));
  const std::vector<absl::string_view> parts = absl::StrSplit(real, '/');
  for (auto part = parts.rbegin(); part != parts.rend(); ++part) {
    const absl::StatusOr<PciAddress> address = PciAddress::Parse(*part);
    if (address.ok()) return *address;
  }
  return std::nullopt;
}

DevicePlace ReadPlace(const Sysfs& sysfs, const std::string& link,
                      std::vector<std::string>& warnings) {
  DevicePlace place;
  place.pci = sysfs.PciFunctionOf(link);
  place.device = sysfs.RealName(link);
  for (const char* file : {"/numa_node", "/../numa_node"}) {
    const absl::StatusOr<std::string> text = sysfs.Read(link + file);
    if (!text.ok()) continue;
    int node;
    if (!absl::SimpleAtoi(*text, &node) || node < -1) {
      warnings.push_back(absl::StrCat(sysfs.root(), "/", link, file, ": '",
                                      absl::CHexEscape(text->substr(0, 100)),
                                      "' is no NUMA node"));
    } else if (node >= 0) {
      place.nodes = {node};
    }
    break;
  }
  return place;
}

}  // namespace te
