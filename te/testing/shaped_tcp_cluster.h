#ifndef TE_TESTING_SHAPED_TCP_CLUSTER_H_
#define TE_TESTING_SHAPED_TCP_CLUSTER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "te/core/transfer_engine.h"
#include "te/metadata/in_process_store.h"
#include "te/testing/chaos_cluster.h"
#include "te/transport/rail_controls.h"

namespace te {

// TCP within this host, as several rails of which each does what it likes.
class ShapedTcpCluster final : public ChaosCluster {
 public:
  ShapedTcpCluster(size_t nodes, size_t rails, uint32_t seed, bool gentle);

  size_t nodes() const override { return controls_.size(); }
  std::string name(size_t node) const override;
  absl::StatusOr<std::unique_ptr<TransferEngine>> Start(size_t node) override;
  std::string Disturb(std::mt19937& random) override;
  void Calm() override;

 private:
  const std::shared_ptr<InProcessStore> store_ =
      std::make_shared<InProcessStore>();
  // One for each node.
  std::vector<std::shared_ptr<RailControls>> controls_;
  const bool gentle_;
};

}  // namespace te

#endif  // TE_TESTING_SHAPED_TCP_CLUSTER_H_
