#ifndef TE_PROGRAM_FLAG_HELP_H_
#define TE_PROGRAM_FLAG_HELP_H_

#include <string>

#include "absl/strings/string_view.h"

namespace te::program {

// What --help prints of a flag, which must exist, in at most 80 columns: its
// name, its default if it is defined in a file of that ending (glog takes some
// of its defaults from the environment), and its description.
std::string DescribeFlag(const char* name, absl::string_view defaults_of);

}  // namespace te::program

#endif  // TE_PROGRAM_FLAG_HELP_H_
