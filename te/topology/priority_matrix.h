#ifndef TE_TOPOLOGY_PRIORITY_MATRIX_H_
#define TE_TOPOLOGY_PRIORITY_MATRIX_H_

#include <stddef.h>
#include <stdint.h>

#include <map>
#include <string>
#include <vector>

#include "absl/base/attributes.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "te/base/memory_location.h"
#include "te/base/nic_preference.h"

namespace te {

// For each location of memory the NICs to use, best first. Immutable, so any
// number of threads may read it.
//
// As JSON, in the form that users of Mooncake's transfer engine have in their
// files:
//
//   {"cpu:0": [["mlx5_0"], ["mlx5_1"]], "*": [["mlx5_0", "mlx5_1"], []]}
//
// a list of two lists, preferred and fallback; an object, {"preferred": [...],
// "fallback": [...]}, is read as well. Numbers of CUDA devices are those of
// Gpu::index.
class PriorityMatrix {
 public:
  using Preferences = std::map<MemoryLocation, NicPreference>;

  // Limits, for what peers are told must be sent to them.
  static constexpr size_t kMaxLocations = 1024;
  static constexpr size_t kMaxNics = 256;  // of one location
  static constexpr size_t kMaxDistinctNics = 1024;
  // Fits into an argument of a command line, which has 128 KiB at most.
  static constexpr size_t kMaxJsonBytes = size_t{96} << 10;

  // Knows no location and no NIC.
  PriorityMatrix() = default;

  // INVALID_ARGUMENT names the location that has no NIC, or one twice, and what
  // is no name of a device.
  static absl::StatusOr<PriorityMatrix> Create(Preferences preferences);

  // INVALID_ARGUMENT says where the text is wrong, and names what Create would
  // refuse, and locations that appear twice; a matrix of none is refused too.
  static absl::StatusOr<PriorityMatrix> FromJson(absl::string_view json);
  // In one line, of the form with lists.
  std::string ToJson() const;

  const Preferences& preferences() const ABSL_ATTRIBUTE_LIFETIME_BOUND {
    return preferences_;
  }

  // The names of all NICs, each once. Indices below are of this.
  const std::vector<std::string>& nics() const ABSL_ATTRIBUTE_LIFETIME_BOUND {
    return nics_;
  }

  // The NICs for a location.
  class Row {
   public:
    absl::Span<const uint16_t> preferred() const ABSL_ATTRIBUTE_LIFETIME_BOUND {
      return absl::MakeSpan(nics_).first(preferred_);
    }
    absl::Span<const uint16_t> fallback() const ABSL_ATTRIBUTE_LIFETIME_BOUND {
      return absl::MakeSpan(nics_).subspan(preferred_);
    }

   private:
    friend class PriorityMatrix;

    std::vector<uint16_t> nics_;
    size_t preferred_ = 0;
  };

  // What a slice asks: constant time, without allocation. A location that the
  // matrix does not know has the row of "*"; if there is none, that of all
  // NICs, as preferred as they are somewhere.
  const Row& Find(MemoryLocation location) const ABSL_ATTRIBUTE_LIFETIME_BOUND {
    const std::vector<uint16_t>& rows =
        location.kind() == MemoryLocation::Kind::kCpu ? cpu_rows_ : cuda_rows_;
    // Row 0 is that of "*".
    const bool known = location.kind() != MemoryLocation::Kind::kAny &&
                       location.index() < rows.size();
    return rows_[known ? rows[location.index()] : 0];
  }

 private:
  // The NICs' indices, `known` having those of nics_.
  Row MakeRow(const NicPreference& preference,
              std::map<std::string, uint16_t>& known);

  Preferences preferences_;
  std::vector<std::string> nics_;
  std::vector<Row> rows_ = {Row()};
  // From a location's index to a row.
  std::vector<uint16_t> cpu_rows_;
  std::vector<uint16_t> cuda_rows_;
};

}  // namespace te

#endif  // TE_TOPOLOGY_PRIORITY_MATRIX_H_
