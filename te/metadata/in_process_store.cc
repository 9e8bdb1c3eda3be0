#include "te/metadata/in_process_store.h"

#include <stdint.h>

#include <chrono>
#include <iterator>
#include <optional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "te/base/clock.h"
#include "te/base/mutex.h"
#include "te/base/status_macros.h"
#include "te/metadata/metadata_store.h"

namespace te {

InProcessStore::Entry* InProcessStore::Find(absl::string_view key) {
  const auto found = entries_.find(key);
  if (found == entries_.end()) return nullptr;
  if (clock_.Now() < found->second.expiry) return &found->second;
  entries_.erase(found);
  return nullptr;
}

absl::Status InProcessStore::CheckVersion(absl::string_view key,
                                          std::optional<uint64_t> expected) {
  const Entry* entry = Find(key);
  const uint64_t present = entry == nullptr ? kAbsent : entry->stored.version;
  if (!expected.has_value() || *expected == present) return absl::OkStatus();
  return VersionMismatch(key, present, *expected);
}

void InProcessStore::RemoveExpired() {
  const MonotonicTime now = clock_.Now();
  for (auto entry = entries_.begin(); entry != entries_.end();) {
    entry =
        now < entry->second.expiry ? std::next(entry) : entries_.erase(entry);
  }
}

MonotonicTime InProcessStore::ExpiryOf(Duration lease) const {
  if (lease == Duration::zero()) return kNoDeadline;
  return DeadlineAfter(clock_.Now(), ceil<std::chrono::milliseconds>(lease));
}

absl::StatusOr<uint64_t> InProcessStore::Put(absl::string_view key,
                                             absl::string_view value,
                                             const PutOptions& options,
                                             MonotonicTime deadline) {
  TE_RETURN_IF_ERROR(ValidateCall(key, clock_.Now(), deadline));
  TE_RETURN_IF_ERROR(ValidateValue(key, value));
  TE_RETURN_IF_ERROR(ValidateLease(key, options.lease));
  MutexLock lock(mutex_);
  TE_RETURN_IF_ERROR(CheckVersion(key, options.expected_version));
  if (entries_.size() >= options_.max_keys) RemoveExpired();
  if (entries_.size() >= options_.max_keys && Find(key) == nullptr) {
    return absl::ResourceExhaustedError(
        absl::StrCat(DescribeKey(key), ": the in-process store is full with ",
                     options_.max_keys, " keys; raise max_keys"));
  }
  entries_[std::string(key)] = {
      .stored = {.value = std::string(value), .version = ++last_version_},
      .expiry = ExpiryOf(options.lease)};
  return last_version_;
}

absl::Status InProcessStore::Renew(absl::string_view key, uint64_t version,
                                   Duration lease, MonotonicTime deadline) {
  TE_RETURN_IF_ERROR(ValidateCall(key, clock_.Now(), deadline));
  TE_RETURN_IF_ERROR(ValidateLease(key, lease));
  MutexLock lock(mutex_);
  Entry* entry = Find(key);
  if (entry == nullptr) return KeyNotFound(key);
  TE_RETURN_IF_ERROR(CheckVersion(key, version));
  entry->expiry = ExpiryOf(lease);
  return absl::OkStatus();
}

absl::StatusOr<StoredValue> InProcessStore::Get(absl::string_view key,
                                                MonotonicTime deadline) {
  TE_RETURN_IF_ERROR(ValidateCall(key, clock_.Now(), deadline));
  MutexLock lock(mutex_);
  const Entry* entry = Find(key);
  if (entry == nullptr) return KeyNotFound(key);
  return entry->stored;
}

absl::StatusOr<std::vector<std::string>> InProcessStore::List(
    absl::string_view prefix, MonotonicTime deadline) {
  TE_RETURN_IF_ERROR(ValidateCall(prefix, clock_.Now(), deadline));
  MutexLock lock(mutex_);
  RemoveExpired();
  std::vector<std::string> keys;
  for (auto entry = entries_.lower_bound(prefix);
       entry != entries_.end() && absl::StartsWith(entry->first, prefix);
       ++entry) {
    keys.push_back(entry->first);
  }
  return keys;
}

absl::Status InProcessStore::Remove(absl::string_view key,
                                    std::optional<uint64_t> expected_version,
                                    MonotonicTime deadline) {
  TE_RETURN_IF_ERROR(ValidateCall(key, clock_.Now(), deadline));
  MutexLock lock(mutex_);
  TE_RETURN_IF_ERROR(CheckVersion(key, expected_version));
  if (Find(key) == nullptr) return KeyNotFound(key);
  entries_.erase(entries_.find(key));
  return absl::OkStatus();
}

}  // namespace te
