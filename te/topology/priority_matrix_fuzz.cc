// A matrix comes from a user's file: any bytes must give a matrix that reads
// back what it prints, or a status.

#include <stddef.h>
#include <stdint.h>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "glog/logging.h"
#include "te/base/memory_location.h"
#include "te/topology/priority_matrix.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const absl::string_view json(reinterpret_cast<const char*>(data), size);
  const absl::StatusOr<te::PriorityMatrix> matrix =
      te::PriorityMatrix::FromJson(json);
  if (!matrix.ok()) return 0;
  const absl::StatusOr<te::PriorityMatrix> again =
      te::PriorityMatrix::FromJson(matrix->ToJson());
  CHECK(again.ok()) << again.status();
  CHECK(again->preferences() == matrix->preferences());
  for (const auto& [location, preference] : matrix->preferences()) {
    const te::PriorityMatrix::Row& row = matrix->Find(location);
    CHECK_EQ(row.preferred().size(), preference.preferred.size());
    CHECK_EQ(row.fallback().size(), preference.fallback.size());
  }
  return 0;
}
