#ifndef TE_CORE_SPLIT_RAIL_H_
#define TE_CORE_SPLIT_RAIL_H_

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/types/span.h"
#include "te/transport/slice.h"
#include "te/transport/transport.h"

namespace te {

// Several rails to one peer as one, for a peer that no one of them reaches all
// the memory of: each slice goes over the one that Slice::transport says.
// Healthy as long as all of them are. Thread-safe.
class SplitRail final : public Rail {
 public:
  explicit SplitRail(Rails rails) : rails_(std::move(rails)) {}

  void Post(absl::Span<Slice* const> slices) override;
  Progress Poll() override;
  void BeginPolling() override;
  void EndPolling() override;
  void Withdraw(absl::FunctionRef<bool(const Slice&)> matches,
                const absl::Status& status) override;
  void Close(const absl::Status& why) override;
  absl::Status health() const override;
  std::string name() const override;

 private:
  const Rails rails_;
};

}  // namespace te

#endif  // TE_CORE_SPLIT_RAIL_H_
