#ifndef TE_TOPOLOGY_PAGE_SIZES_H_
#define TE_TOPOLOGY_PAGE_SIZES_H_

#include <stdint.h>

#include <istream>
#include <string>

#include "absl/status/statusor.h"

namespace te {

// On what pages the bytes of a range of memory are. Those that nobody has
// touched so far count as what the kernel would give them; those that are not
// mapped do not count.
struct PageSizes {
  // On pages of the smallest size.
  uint64_t small_bytes = 0;
  // On huge pages, reserved or transparent.
  uint64_t huge_bytes = 0;
};

// Reads the text of a smaps file (proc_pid_smaps(5)), up to the end of the
// range. Of a mapping that is only partly within the range, and only partly on
// huge pages, both parts are taken for alike. What is no such text is skipped.
PageSizes ParsePageSizes(std::istream& smaps, uint64_t address,
                         uint64_t length);

// The same for the file `smaps`. The kernel walks the page tables of all
// mappings up to the range meanwhile: milliseconds for some GiB of small pages.
// An error says that the file cannot be read.
absl::StatusOr<PageSizes> FindPageSizes(const std::string& smaps,
                                        uint64_t address, uint64_t length);

}  // namespace te

#endif  // TE_TOPOLOGY_PAGE_SIZES_H_
