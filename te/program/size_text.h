#ifndef TE_PROGRAM_SIZE_TEXT_H_
#define TE_PROGRAM_SIZE_TEXT_H_

#include <cstdint>
#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"

namespace te::program {

// Reads a number of bytes: "65536", "64K", "64KiB", "1G". The suffixes, in
// either case, mean powers of 1024. INVALID_ARGUMENT quotes anything else, and
// what does not fit into 64 bits.
absl::StatusOr<uint64_t> ParseSize(absl::string_view text);

// "4 KiB", "1 GiB"; up to one decimal where it does not come out even.
std::string FormatSize(uint64_t bytes);

}  // namespace te::program

#endif  // TE_PROGRAM_SIZE_TEXT_H_
