#ifndef TE_TRANSPORT_SHM_SHARED_REGION_H_
#define TE_TRANSPORT_SHM_SHARED_REGION_H_

#include <cstddef>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "te/base/unique_fd.h"

namespace te::shm {

// Memory that two processes have mapped: a memfd_create(2) file, which has no
// name that others could open, and goes when the last of them does.
//
// Its length is sealed, so that nobody can take pages away from those who use
// it: to touch what is behind the end would end a process (SIGBUS).
class SharedRegion {
 public:
  SharedRegion() = default;
  SharedRegion(SharedRegion&& other) noexcept { *this = std::move(other); }
  SharedRegion& operator=(SharedRegion&& other) noexcept {
    std::swap(fd_, other.fd_);
    std::swap(data_, other.data_);
    std::swap(size_, other.size_);
    return *this;
  }
  ~SharedRegion();

  // So many bytes of zeros, at least 1, whose pages are made when they are
  // touched. `name` is what /proc/PID/maps shows.
  static absl::StatusOr<SharedRegion> Create(const std::string& name,
                                             size_t bytes);

  enum class Rights { kRead, kReadAndWrite };
  // What another process has created, and sent. INVALID_ARGUMENT unless it has
  // exactly `bytes`, and its length is sealed.
  static absl::StatusOr<SharedRegion> Map(UniqueFd fd, size_t bytes,
                                          Rights rights);

  // From now on others can map it to read it only.
  absl::Status SealAgainstOthersWrites();

  // To be sent. Invalid in a region that Map has made, or after CloseFd.
  int fd() const { return fd_.get(); }
  void CloseFd() { fd_.reset(); }
  std::byte* data() const { return data_; }
  size_t size() const { return size_; }

 private:
  absl::Status MapPages(int fd, size_t bytes, Rights rights);

  UniqueFd fd_;
  std::byte* data_ = nullptr;
  size_t size_ = 0;
};

}  // namespace te::shm

#endif  // TE_TRANSPORT_SHM_SHARED_REGION_H_
