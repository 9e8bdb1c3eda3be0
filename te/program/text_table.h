#ifndef TE_PROGRAM_TEXT_TABLE_H_
#define TE_PROGRAM_TEXT_TABLE_H_

#include <string>
#include <vector>

namespace te::program {

// Rows of cells as lines, in columns two spaces apart. Rows may differ in
// length.
std::string FormatTable(const std::vector<std::vector<std::string>>& rows);

}  // namespace te::program

#endif  // TE_PROGRAM_TEXT_TABLE_H_
