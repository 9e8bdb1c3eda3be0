#ifndef TE_RDMA_ENDPOINT_BUDGET_H_
#define TE_RDMA_ENDPOINT_BUDGET_H_

#include <atomic>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"

namespace te::rdma {

// How many endpoints an engine has, of how many it may have. Thread-safe.
class EndpointBudget {
 public:
  // One endpoint's share. Movable; a moved-from or default-made one is none.
  // Goes before the budget.
  class Share {
   public:
    Share() = default;
    explicit Share(EndpointBudget& budget) : budget_(&budget) {}
    Share(Share&& other) noexcept
        : budget_(std::exchange(other.budget_, nullptr)) {}
    Share& operator=(Share&& other) noexcept {
      std::swap(budget_, other.budget_);
      return *this;
    }
    ~Share() {
      if (budget_ != nullptr) --budget_->used_;
    }

   private:
    EndpointBudget* budget_ = nullptr;
  };

  explicit EndpointBudget(int limit) : limit_(limit) {}

  // RESOURCE_EXHAUSTED if all are in use.
  absl::StatusOr<Share> Take() {
    int used = used_.load();
    do {
      if (used >= limit_) {
        return absl::ResourceExhaustedError(absl::StrCat(
            "all ", limit_,
            " endpoints are in use; raise max_endpoints, or close segments "
            "that are not needed"));
      }
    } while (!used_.compare_exchange_weak(used, used + 1));
    return Share(*this);
  }

  int used() const { return used_.load(); }

 private:
  const int limit_;
  std::atomic<int> used_{0};
};

}  // namespace te::rdma

#endif  // TE_RDMA_ENDPOINT_BUDGET_H_
