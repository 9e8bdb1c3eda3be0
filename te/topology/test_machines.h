#ifndef TE_TOPOLOGY_TEST_MACHINES_H_
#define TE_TOPOLOGY_TEST_MACHINES_H_

#include <filesystem>
#include <string>

#include "absl/base/attributes.h"
#include "absl/strings/string_view.h"
#include "te/topology/machine.h"

namespace te {

// The machines of testdata/machines, for tests. Each is an XML of lstopo and a
// description of its sysfs, which say whether they are real or synthetic.

// The text of testdata/machines/NAME. The process ends if there is none.
std::string ReadTestMachine(absl::string_view file);

// Both, or the XML alone, discovered. The first is kept until the process ends,
// since making a sysfs takes long; for one thread.
const Machine& DiscoverTestMachine(absl::string_view name);
Machine DiscoverTestMachineByXml(absl::string_view name);

// A sysfs in a temporary folder, which goes with the object. Made of a text
// with sections of lines:
//
//   [class/infiniband/mlx5_0]     a folder, in which are
//   device -> ../../0000:3b:00.0  a link
//   ports/1/state = 4: ACTIVE     a file, here in two more folders; \n in it
//                                 means a new line
//   ports/1/gids/{0..255} = ::    256 files
//   bonding/                      an empty folder
class SysfsCopy {
 public:
  explicit SysfsCopy(absl::string_view text);
  SysfsCopy(const SysfsCopy&) = delete;
  SysfsCopy& operator=(const SysfsCopy&) = delete;
  ~SysfsCopy();

  const std::string& root() const ABSL_ATTRIBUTE_LIFETIME_BOUND {
    return root_;
  }

  // Adds what `text` describes, or replaces it.
  void Add(absl::string_view text);
  // With all that is below it.
  void Remove(absl::string_view path);

 private:
  void AddLine(const std::filesystem::path& folder, absl::string_view line);

  std::string root_;
};

}  // namespace te

#endif  // TE_TOPOLOGY_TEST_MACHINES_H_
