#ifndef TE_PROGRAM_NUMBER_RANGES_H_
#define TE_PROGRAM_NUMBER_RANGES_H_

#include <string>

#include "absl/types/span.h"

namespace te::program {

// "0-3,8": runs of numbers that follow each other; "none" if there is none.
// `numbers` are ascending.
std::string FormatRanges(absl::Span<const int> numbers);

}  // namespace te::program

#endif  // TE_PROGRAM_NUMBER_RANGES_H_
