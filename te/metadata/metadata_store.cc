#include "te/metadata/metadata_store.h"

#include <algorithm>
#include <chrono>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace te {

std::string DescribeKey(absl::string_view key) {
  constexpr size_t kShown = 300;
  return absl::StrCat("metadata key '", absl::CHexEscape(key.substr(0, kShown)),
                      "'");
}

absl::Status ValidateCall(absl::string_view key, MonotonicTime now,
                          MonotonicTime deadline) {
  if (key.empty() || key.size() > MetadataStore::kMaxKeyBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(DescribeKey(key), " has ", key.size(), " bytes; use 1 to ",
                     MetadataStore::kMaxKeyBytes));
  }
  if (now < deadline) return absl::OkStatus();
  return absl::DeadlineExceededError(
      absl::StrCat(DescribeKey(key),
                   ": the deadline passed before the call; allow more time"));
}

absl::Status KeyNotFound(absl::string_view key) {
  return absl::NotFoundError(absl::StrCat(DescribeKey(key), " does not exist"));
}

absl::Status VersionMismatch(absl::string_view key, uint64_t present,
                             uint64_t expected) {
  return absl::AbortedError(
      absl::StrCat(DescribeKey(key), " is at version ", present, ", not ",
                   expected, "; somebody else changed it: read it again"));
}

absl::Status ValidateValue(absl::string_view key, absl::string_view value) {
  if (value.size() <= MetadataStore::kMaxValueBytes) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      DescribeKey(key), ": a value of ", value.size(),
      " bytes exceeds the limit of ", MetadataStore::kMaxValueBytes));
}

absl::Status ValidateLease(absl::string_view key, Duration lease) {
  if (lease >= Duration::zero() && lease <= MetadataStore::kMaxLease) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat(DescribeKey(key), ": a lease of ", lease.count(),
                   " ns; use 0, for ever, to a year"));
}

uint64_t LeaseMilliseconds(Duration lease) {
  return static_cast<uint64_t>(
      std::chrono::ceil<std::chrono::milliseconds>(lease).count());
}

Duration LeaseFromMilliseconds(uint64_t milliseconds) {
  const uint64_t too_long = 2 * LeaseMilliseconds(MetadataStore::kMaxLease);
  return std::chrono::milliseconds(std::min(milliseconds, too_long));
}

}  // namespace te
