#include "te/metadata/metadata_store.h"

#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"

namespace te {

std::string DescribeKey(absl::string_view key) {
  constexpr size_t kShown = 300;
  return absl::StrCat("metadata key '", absl::CHexEscape(key.substr(0, kShown)),
                      "'");
}

absl::Status ValidateKey(absl::string_view key) {
  if (!key.empty() && key.size() <= MetadataStore::kMaxKeyBytes) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat(DescribeKey(key), " has ", key.size(), " bytes; use 1 to ",
                   MetadataStore::kMaxKeyBytes));
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

}  // namespace te
