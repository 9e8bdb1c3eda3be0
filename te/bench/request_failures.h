#ifndef TE_BENCH_REQUEST_FAILURES_H_
#define TE_BENCH_REQUEST_FAILURES_H_

#include <cstdint>
#include <string>
#include <vector>

#include "absl/base/attributes.h"
#include "absl/status/status.h"
#include "absl/types/span.h"
#include "te/core/request.h"

namespace te::bench {

// What went wrong with requests, which is often the same for many of them.
struct RequestFailure {
  Operation operation = Operation::kRead;
  uint64_t length = 0;
  // Of the first one.
  absl::Status status;
  uint64_t requests = 1;
  // Of the first few, in the target's buffer.
  std::vector<uint64_t> offsets;

  // The same but for numbers: offsets and addresses differ between requests
  // that failed for one reason.
  bool IsLike(const RequestFailure& other) const;

  // "READ of 65536 bytes at offset 0, 131072 and 14 more: UNAVAILABLE: ..."
  std::string ToString() const;
};

// The first few kinds of failures, and how many there were. Thread-compatible.
class RequestFailures {
 public:
  void Add(RequestFailure failure);
  void Add(const RequestFailures& others);

  uint64_t requests() const { return requests_; }
  absl::Span<const RequestFailure> kinds() const ABSL_ATTRIBUTE_LIFETIME_BOUND {
    return kinds_;
  }

  // Each kind on a line of its own, which begins with a line break.
  std::string ToString() const;

 private:
  uint64_t requests_ = 0;
  std::vector<RequestFailure> kinds_;
};

}  // namespace te::bench

#endif  // TE_BENCH_REQUEST_FAILURES_H_
