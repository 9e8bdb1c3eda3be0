#ifndef TE_PROGRAM_STOP_SIGNAL_H_
#define TE_PROGRAM_STOP_SIGNAL_H_

#include "absl/status/statusor.h"
#include "te/base/unique_fd.h"

namespace te::program {

// SIGINT, SIGTERM and SIGHUP as a file descriptor, in place of what they
// otherwise do. To be made while the process has one thread: later ones inherit
// that the signals are blocked.
class StopSignal {
 public:
  static absl::StatusOr<StopSignal> Create();

  // Readable once a signal has come.
  int fd() const { return fd_.get(); }
  // The signal's number, or 0 if none has come since the last call.
  int Take();
  // From now on the signals do again what they otherwise do: they end the
  // process. For the thread that calls, which must be the first one.
  void Release();

 private:
  explicit StopSignal(UniqueFd fd) : fd_(std::move(fd)) {}

  UniqueFd fd_;
};

}  // namespace te::program

#endif  // TE_PROGRAM_STOP_SIGNAL_H_
