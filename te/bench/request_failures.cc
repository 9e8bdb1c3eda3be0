#include "te/bench/request_failures.h"

#include <algorithm>
#include <cstddef>
#include <utility>

#include "absl/strings/ascii.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"

namespace te::bench {
namespace {

constexpr size_t kKindsKept = 3;
constexpr size_t kOffsetsKept = 3;

// Without the words that begin with a digit, such as 65536 and 0x7f00.
std::string WithoutNumbers(absl::string_view text) {
  std::string rest;
  bool in_number = false;
  char before = ' ';
  for (char c : text) {
    const bool in_word = absl::ascii_isalnum(before);
    in_number =
        in_word ? in_number && absl::ascii_isalnum(c) : absl::ascii_isdigit(c);
    if (!in_number) rest.push_back(c);
    before = c;
  }
  return rest;
}

}  // namespace

bool RequestFailure::IsLike(const RequestFailure& other) const {
  return operation == other.operation && length == other.length &&
         status.code() == other.status.code() &&
         WithoutNumbers(status.message()) ==
             WithoutNumbers(other.status.message());
}

std::string RequestFailure::ToString() const {
  const uint64_t more = requests - offsets.size();
  return absl::StrCat(operation == Operation::kRead ? "READ" : "WRITE", " of ",
                      length, " bytes at offset ", absl::StrJoin(offsets, ", "),
                      more > 0 ? absl::StrCat(" and ", more, " more") : "",
                      ": ", status.ToString(),
                      absl::IsNotFound(status)
                          ? "; the target has taken its memory back, "
                            "probably because it was stopped"
                          : "");
}

void RequestFailures::Add(RequestFailure failure) {
  requests_ += failure.requests;
  const auto known = std::find_if(
      kinds_.begin(), kinds_.end(),
      [&](const RequestFailure& kind) { return kind.IsLike(failure); });
  if (known == kinds_.end()) {
    if (kinds_.size() < kKindsKept) kinds_.push_back(std::move(failure));
    return;
  }
  known->requests += failure.requests;
  for (uint64_t offset : failure.offsets) {
    if (known->offsets.size() < kOffsetsKept) known->offsets.push_back(offset);
  }
}

void RequestFailures::Add(const RequestFailures& others) {
  uint64_t untold = others.requests_;
  for (const RequestFailure& kind : others.kinds_) {
    Add(kind);
    untold -= kind.requests;
  }
  requests_ += untold;
}

std::string RequestFailures::ToString() const {
  std::string lines;
  uint64_t untold = requests_;
  for (const RequestFailure& kind : kinds_) {
    absl::StrAppend(&lines, "\n  ", kind.ToString());
    untold -= kind.requests;
  }
  if (untold > 0) absl::StrAppend(&lines, "\n  and ", untold, " more");
  return lines;
}

}  // namespace te::bench
