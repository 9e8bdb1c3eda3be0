#include "te/transport/shm/shared_region.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>

#include "absl/strings/str_cat.h"
#include "te/base/errno_status.h"
#include "te/base/file_size_limit.h"
#include "te/base/status_macros.h"

namespace te::shm {
namespace {

constexpr int kLengthSeals = F_SEAL_SHRINK | F_SEAL_GROW;

}  // namespace

SharedRegion::~SharedRegion() {
  if (data_ != nullptr) munmap(data_, size_);
}

absl::StatusOr<SharedRegion> SharedRegion::Create(const std::string& name,
                                                  size_t bytes) {
  TE_RETURN_IF_ERROR(CheckFileSizeLimit(bytes));
  SharedRegion region;
  region.fd_ =
      UniqueFd(memfd_create(name.c_str(), MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!region.fd_.valid()) return ErrnoToStatus(errno, "memfd_create");
  const int fd = region.fd_.get();
  if (ftruncate(fd, static_cast<off_t>(bytes)) != 0) {
    return ErrnoToStatus(errno,
                         absl::StrCat("ftruncate of shared memory to ", bytes));
  }
  if (fcntl(fd, F_ADD_SEALS, kLengthSeals) != 0) {
    return ErrnoToStatus(errno, "fcntl(F_ADD_SEALS) of shared memory");
  }
  TE_RETURN_IF_ERROR(region.MapPages(fd, bytes, Rights::kReadAndWrite));
  return region;
}

absl::StatusOr<SharedRegion> SharedRegion::Map(UniqueFd fd, size_t bytes,
                                               Rights rights) {
  const int seals = fcntl(fd.get(), F_GET_SEALS);
  struct stat file = {};
  if (seals < 0 || (seals & kLengthSeals) != kLengthSeals ||
      fstat(fd.get(), &file) != 0 ||
      file.st_size != static_cast<off_t>(bytes)) {
    return absl::InvalidArgumentError(
        absl::StrCat("what was sent is no shared memory of ", bytes,
                     " bytes whose length is sealed"));
  }
  SharedRegion region;
  TE_RETURN_IF_ERROR(region.MapPages(fd.get(), bytes, rights));
  return region;
}

absl::Status SharedRegion::MapPages(int fd, size_t bytes, Rights rights) {
  const int protection =
      rights == Rights::kRead ? PROT_READ : PROT_READ | PROT_WRITE;
  void* const data = mmap(nullptr, bytes, protection, MAP_SHARED, fd, 0);
  if (data == MAP_FAILED) {
    return ErrnoToStatus(
        errno, absl::StrCat("mmap of ", bytes, " bytes of shared memory"));
  }
  data_ = static_cast<std::byte*>(data);
  size_ = bytes;
  return absl::OkStatus();
}

absl::Status SharedRegion::SealAgainstOthersWrites() {
  if (fcntl(fd_.get(), F_ADD_SEALS, F_SEAL_FUTURE_WRITE | F_SEAL_SEAL) == 0) {
    return absl::OkStatus();
  }
  return ErrnoToStatus(errno, "fcntl(F_SEAL_FUTURE_WRITE) of shared memory");
}

}  // namespace te::shm
