#include "te/program/standard_streams.h"

#include <fcntl.h>
#include <unistd.h>

namespace te::program {

void OccupyStandardStreams() {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd) {
    // The lowest number that is free is this one.
    if (fcntl(fd, F_GETFD) < 0) open("/dev/null", O_RDONLY);
  }
}

absl::Status CheckWritten(std::ostream& out) {
  if (out.flush()) return absl::OkStatus();
  return absl::DataLossError(
      "writing to the standard output failed; what was printed is lost");
}

}  // namespace te::program
