// A topology XML is a user's file: any bytes must give a tree that is sound, or
// a status.

#include <stddef.h>
#include <stdint.h>

#include <string>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "glog/logging.h"
#include "te/base/memory_location.h"
#include "te/topology/discovery.h"
#include "te/topology/distance.h"
#include "te/topology/machine.h"
#include "te/topology/nic_ranking.h"
#include "te/topology/priority_matrix.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view xml(reinterpret_cast<const char*>(data), size);
  const absl::StatusOr<te::Machine> machine = te::DiscoverMachine(xml, "");
  if (!machine.ok()) return 0;
  CHECK(!machine->nodes.empty());
  for (size_t i = 0; i < machine->bridges.size(); ++i) {
    CHECK_LT(machine->bridges[i].parent, static_cast<int>(i));
  }
  const absl::StatusOr<te::PriorityMatrix> matrix =
      te::MakeMatrix(*machine, {.spread = 3});
  CHECK(matrix.ok()) << matrix.status();
  CHECK(te::PriorityMatrix::FromJson(matrix->ToJson()).ok() ||
        matrix->preferences().empty());
  return 0;
}
