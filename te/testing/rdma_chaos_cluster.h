#ifndef TE_TESTING_RDMA_CHAOS_CLUSTER_H_
#define TE_TESTING_RDMA_CHAOS_CLUSTER_H_

#include <cstddef>
#include <cstdint>
#include <memory>
#include <random>
#include <string>

#include "absl/status/statusor.h"
#include "te/core/transfer_engine.h"
#include "te/rdma_cluster.h"
#include "te/testing/chaos_cluster.h"

namespace te {

// Hosts with emulated NICs whose ports go down, and that lose packets.
class RdmaChaosCluster final : public ChaosCluster {
 public:
  RdmaChaosCluster(size_t nodes, uint8_t nics, uint32_t seed, bool gentle);

  size_t nodes() const override { return nodes_; }
  std::string name(size_t node) const override;
  absl::StatusOr<std::unique_ptr<TransferEngine>> Start(size_t node) override;
  std::string Disturb(std::mt19937& random) override;
  void Calm() override;

 private:
  const size_t nodes_;
  const uint8_t nics_;
  const bool gentle_;
  RdmaCluster cluster_;
};

}  // namespace te

#endif  // TE_TESTING_RDMA_CHAOS_CLUSTER_H_
