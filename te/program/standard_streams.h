#ifndef TE_PROGRAM_STANDARD_STREAMS_H_
#define TE_PROGRAM_STANDARD_STREAMS_H_

#include <ostream>

#include "absl/status/status.h"

namespace te::program {

// Takes the numbers of those of stdin, stdout and stderr that are closed, so
// that no socket gets them and with it what is printed. Writing to them fails
// as before. To be called before anything is opened.
void OccupyStandardStreams();

// DATA_LOSS unless all that was printed on `out`, the standard output, has been
// written.
absl::Status CheckWritten(std::ostream& out);

}  // namespace te::program

#endif  // TE_PROGRAM_STANDARD_STREAMS_H_
