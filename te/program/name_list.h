#ifndef TE_PROGRAM_NAME_LIST_H_
#define TE_PROGRAM_NAME_LIST_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace te::program {

// The names of a flag, "mlx5_0, mlx5_1", each once and without spaces.
std::vector<std::string> ParseNameList(absl::string_view text);

}  // namespace te::program

#endif  // TE_PROGRAM_NAME_LIST_H_
