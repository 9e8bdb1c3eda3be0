#include "te/metadata/in_process_store.h"

#include <stdint.h>

#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "te/base/clock.h"
#include "te/base/mutex.h"
#include "te/base/status_macros.h"
#include "te/metadata/metadata_store.h"

namespace te {
namespace {

std::string Quote(absl::string_view key) {
  return absl::StrCat("metadata key '", absl::CHexEscape(key.substr(0, 300)),
                      "'");
}

}  // namespace

absl::Status InProcessStore::Check(absl::string_view key,
                                   MonotonicTime deadline) const {
  if (key.empty() || key.size() > kMaxKeyBytes) {
    return absl::InvalidArgumentError(absl::StrCat(
        Quote(key), " has ", key.size(), " bytes; use 1 to ", kMaxKeyBytes));
  }
  if (clock_.Now() >= deadline) {
    return absl::DeadlineExceededError(absl::StrCat(
        Quote(key), ": the deadline passed before the call; allow more time"));
  }
  return absl::OkStatus();
}

absl::Status InProcessStore::CheckVersion(
    absl::string_view key, std::optional<uint64_t> expected) const {
  auto found = values_.find(key);
  uint64_t present = found == values_.end() ? kAbsent : found->second.version;
  if (!expected.has_value() || *expected == present) return absl::OkStatus();
  return absl::AbortedError(
      absl::StrCat(Quote(key), " is at version ", present, ", not ", *expected,
                   "; somebody else changed it: read it again"));
}

absl::StatusOr<uint64_t> InProcessStore::Put(
    absl::string_view key, absl::string_view value,
    std::optional<uint64_t> expected_version, MonotonicTime deadline) {
  TE_RETURN_IF_ERROR(Check(key, deadline));
  if (value.size() > kMaxValueBytes) {
    return absl::InvalidArgumentError(
        absl::StrCat(Quote(key), ": a value of ", value.size(),
                     " bytes exceeds the limit of ", kMaxValueBytes));
  }
  MutexLock lock(mutex_);
  TE_RETURN_IF_ERROR(CheckVersion(key, expected_version));
  if (values_.size() >= options_.max_keys && !values_.contains(key)) {
    return absl::ResourceExhaustedError(
        absl::StrCat(Quote(key), ": the in-process store is full with ",
                     options_.max_keys, " keys; raise max_keys"));
  }
  values_[key] = {.value = std::string(value), .version = ++last_version_};
  return last_version_;
}

absl::StatusOr<StoredValue> InProcessStore::Get(absl::string_view key,
                                                MonotonicTime deadline) {
  TE_RETURN_IF_ERROR(Check(key, deadline));
  MutexLock lock(mutex_);
  auto found = values_.find(key);
  if (found == values_.end()) {
    return absl::NotFoundError(absl::StrCat(Quote(key), " does not exist"));
  }
  return found->second;
}

absl::Status InProcessStore::Remove(absl::string_view key,
                                    std::optional<uint64_t> expected_version,
                                    MonotonicTime deadline) {
  TE_RETURN_IF_ERROR(Check(key, deadline));
  MutexLock lock(mutex_);
  TE_RETURN_IF_ERROR(CheckVersion(key, expected_version));
  if (values_.erase(key) == 0) {
    return absl::NotFoundError(absl::StrCat(Quote(key), " does not exist"));
  }
  return absl::OkStatus();
}

}  // namespace te
