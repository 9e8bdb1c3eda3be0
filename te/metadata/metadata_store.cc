#include "te/metadata/metadata_store.h"

#include <algorithm>
#include <chrono>
#include <iterator>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "te/base/status_macros.h"

namespace te {

std::vector<absl::StatusOr<StoredValue>> MetadataStore::GetMany(
    absl::Span<const std::string> keys, const GetOptions& options,
    MonotonicTime deadline) {
  std::vector<absl::StatusOr<StoredValue>> values;
  values.reserve(keys.size());
  for (const std::string& key : keys) {
    values.push_back(Get(key, options, deadline));
  }
  return values;
}

absl::StatusOr<std::vector<std::string>> ListAll(MetadataStore& store,
                                                 absl::string_view prefix,
                                                 MonotonicTime deadline) {
  std::vector<std::string> all;
  for (bool more = true; more;) {
    TE_ASSIGN_OR_RETURN(
        KeyList page,
        store.List(prefix, all.empty() ? "" : all.back(), deadline));
    more = page.more;
    std::move(page.keys.begin(), page.keys.end(), std::back_inserter(all));
  }
  return all;
}

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

absl::Status ValidateParts(absl::string_view key,
                           absl::Span<const ValuePartView> parts) {
  size_t bytes = 0;
  for (size_t i = 0; i < parts.size(); ++i) {
    const uint32_t number = parts[i].number;
    if (number >= MetadataStore::kMaxParts ||
        (i > 0 && number <= parts[i - 1].number)) {
      return absl::InvalidArgumentError(
          absl::StrCat(DescribeKey(key), ": part ", number,
                       " is out of order, or not below the limit of ",
                       MetadataStore::kMaxParts));
    }
    bytes += parts[i].bytes.size();
  }
  if (bytes <= MetadataStore::kMaxValueBytes) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat(
      DescribeKey(key), ": a value of ", bytes, " bytes exceeds the limit of ",
      MetadataStore::kMaxValueBytes, "; put its parts one after the other"));
}

absl::Status ValidateLease(absl::string_view key, Duration lease) {
  if (lease >= Duration::zero() && lease <= MetadataStore::kMaxLease) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat(DescribeKey(key), ": a lease of ", lease.count(),
                   " ns; use 0, for ever, to a year"));
}

absl::Status ValidateScope(const WatchScope& scope) {
  return ValidateCall(scope.key, MonotonicTime::min(), kNoDeadline);
}

uint64_t FirstVersion() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(now).count());
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
