#ifndef TE_PROGRAM_PROGRAM_H_
#define TE_PROGRAM_PROGRAM_H_

#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"

namespace te::program {

// What a program is called, and what --help prints of it.
struct Description {
  // Stands before its errors.
  const char* name = nullptr;
  // Above the flags.
  absl::string_view introduction;
  // Those of its own, in this order, and how the path of the file ends that
  // defines them.
  absl::Span<const char* const> flags;
  absl::string_view source;
};

// What the program does once its flags are set. `words` are the arguments that
// are no flags. INVALID_ARGUMENT stands for a flag that is wrong: see
// AtRunTime.
using Work = absl::Status (*)();
using WorkWithWords = absl::Status (*)(const std::vector<std::string>& words);

// All that main() does beside the work: sees to the standard streams, sets the
// flags, answers --help, prints an error on stderr. `arguments` begin with the
// program's path. Returns its exit status: see ExitStatus.
//
// With a Work, words are an error.
int Run(const Description& program, absl::Span<char* const> arguments,
        Work work);
int Run(const Description& program, absl::Span<char* const> arguments,
        WorkWithWords work);

// The same without flags and --help, for a program that sees to them itself.
int RunWork(const char* name, const std::function<absl::Status()>& work);

}  // namespace te::program

#endif  // TE_PROGRAM_PROGRAM_H_
