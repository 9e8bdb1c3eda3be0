#include "te/topology/machine_summary.h"

#include <cstddef>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "te/topology/nic.h"

namespace te {
namespace {

std::string Count(size_t count, absl::string_view what) {
  if (count == 0) return absl::StrCat("no ", what, "s");
  return absl::StrCat(count, " ", what, count == 1 ? "" : "s");
}

}  // namespace

std::string SummarizeMachine(const Machine& machine) {
  std::vector<std::string> unusable;
  for (const Nic& nic : machine.nics) {
    if (const std::string why = WhyUnusable(nic); !why.empty()) {
      unusable.push_back(absl::StrCat(nic.name, ": ", why));
    }
  }
  std::string nics = Count(machine.nics.size(), "RDMA device");
  if (!unusable.empty()) {
    absl::StrAppend(&nics, " of which ", unusable.size(), " cannot be used (",
                    absl::StrJoin(unusable, "; "), ")");
  }
  return absl::StrJoin({Count(machine.nodes.size(), "NUMA node"), nics,
                        Count(machine.gpus.size(), "GPU")},
                       ", ");
}

}  // namespace te
