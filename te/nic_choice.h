#ifndef TE_NIC_CHOICE_H_
#define TE_NIC_CHOICE_H_

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "te/topology/machine.h"
#include "te/topology/priority_matrix.h"

namespace te {

// Which NICs serve which memory. Names are of RDMA devices, or of their
// netdevs.
struct NicOptions {
  // Only these; empty means all.
  std::vector<std::string> allowed;
  // All but these.
  std::vector<std::string> denied;
  // The near ones before the far ones. Without it all locations prefer all NICs
  // of `allowed`, in that order, and none if it is empty.
  bool by_distance = true;
  // In place of all that: a matrix as JSON (te/topology/priority_matrix.h).
  std::optional<std::string> priority_matrix;
  // Of NICs equally near, processes with different numbers begin with different
  // ones; the process's local rank serves best. Unset: a random number.
  std::optional<uint32_t> spread;
  // This machine, where it has been discovered already.
  std::shared_ptr<const Machine> machine;
};

struct NicChoice {
  // Empty if there is no NIC that can be used.
  PriorityMatrix matrix;
  // This machine; null if it is not known, or was not asked for.
  std::shared_ptr<const Machine> machine;
};

// The matrix that `options` ask for. Discovers the machine unless it is given,
// which takes some 10 ms, and logs what is odd about it.
//
// NOT_FOUND names a NIC that the machine does not have; INVALID_ARGUMENT says
// what is wrong with the matrix, or which options exclude each other. If the
// machine cannot be discovered, that is an error only for options that name
// NICs: otherwise none is used, and the log says why.
absl::StatusOr<NicChoice> ChooseNics(const NicOptions& options);

}  // namespace te

#endif  // TE_NIC_CHOICE_H_
