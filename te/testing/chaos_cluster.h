#ifndef TE_TESTING_CHAOS_CLUSTER_H_
#define TE_TESTING_CHAOS_CLUSTER_H_

#include <cstddef>
#include <memory>
#include <random>
#include <string>

#include "absl/status/statusor.h"
#include "te/core/transfer_engine.h"

namespace te {

// Nodes with several rails between them, and what goes wrong with those, for
// Chaos. Start is called by one thread at a time, as are the others, and the
// engines are gone before the cluster.
//
// A gentle one always leaves the first rail of each node alone, so that every
// transfer can succeed.
class ChaosCluster {
 public:
  virtual ~ChaosCluster() = default;

  // From 2.
  virtual size_t nodes() const = 0;
  // As the segment of its engine is called.
  virtual std::string name(size_t node) const = 0;
  // Starts the engine of a node, which has none.
  virtual absl::StatusOr<std::unique_ptr<TransferEngine>> Start(
      size_t node) = 0;
  // Changes something about some node's rails, for the worse or the better, and
  // says what.
  virtual std::string Disturb(std::mt19937& random) = 0;
  // From now on nothing goes wrong.
  virtual void Calm() = 0;
};

}  // namespace te

#endif  // TE_TESTING_CHAOS_CLUSTER_H_
