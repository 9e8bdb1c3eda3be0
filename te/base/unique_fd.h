#ifndef TE_BASE_UNIQUE_FD_H_
#define TE_BASE_UNIQUE_FD_H_

#include <unistd.h>

#include <utility>

namespace te {

// Owns a file descriptor and closes it. An empty one holds -1.
// Thread-compatible.
class UniqueFd {
 public:
  UniqueFd() = default;
  // Takes ownership. A negative `fd` makes an empty owner.
  explicit UniqueFd(int fd) : fd_(fd) {}
  ~UniqueFd() { reset(); }
  UniqueFd(UniqueFd&& other) noexcept : fd_(other.release()) {}
  UniqueFd& operator=(UniqueFd&& other) noexcept {
    if (this != &other) reset(other.release());
    return *this;
  }

  int get() const { return fd_; }
  bool valid() const { return fd_ >= 0; }

  // Gives the descriptor to the caller, who closes it.
  [[nodiscard]] int release() { return std::exchange(fd_, -1); }

  // Closes what it holds and takes `fd`. Errors of close are dropped: Linux
  // frees the descriptor even when close fails, and there is nothing to retry.
  void reset(int fd = -1) {
    int old = std::exchange(fd_, fd);
    if (old >= 0) close(old);
  }

 private:
  int fd_ = -1;
};

}  // namespace te

#endif  // TE_BASE_UNIQUE_FD_H_
