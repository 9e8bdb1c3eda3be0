#ifndef TE_PROGRAM_COMMAND_LINE_H_
#define TE_PROGRAM_COMMAND_LINE_H_

#include <set>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace te::program {

// gflags' own parser prints several lines for a bad flag and exits with 1; this
// one leaves both to the program. It understands --name=value, --name value,
// --name and --noname of a bool, and one dash in place of two.

// Sets the flags from the arguments that follow the program's name, and returns
// the names of those that were given. Those that are no flags go to `words`.
// INVALID_ARGUMENT for an unknown flag, a value that is missing or not of the
// flag's type, and, if `words` is null, anything that is no flag.
absl::StatusOr<std::set<std::string>> ParseCommandLine(
    absl::Span<char* const> arguments,
    std::vector<std::string>* words = nullptr);

// Sets one flag. INVALID_ARGUMENT as above.
absl::Status SetFlag(const std::string& name, const std::string& value);

}  // namespace te::program

#endif  // TE_PROGRAM_COMMAND_LINE_H_
