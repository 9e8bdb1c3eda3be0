#include "te/metadata/in_process_store.h"

#include <stdint.h>

#include <chrono>
#include <functional>
#include <iterator>
#include <map>
#include <optional>
#include <string>
#include <utility>
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
      .lease = options.lease,
      .expiry = ExpiryOf(options.lease)};
  ++changes_;
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
  if (entry->lease != lease) ++changes_;
  entry->lease = lease;
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
  ++changes_;
  return absl::OkStatus();
}

StoreContents InProcessStore::Export() {
  MutexLock lock(mutex_);
  RemoveExpired();
  StoreContents contents = {.last_version = last_version_};
  contents.entries.reserve(entries_.size());
  for (const auto& [key, entry] : entries_) {
    contents.entries.push_back(
        {.key = key, .stored = entry.stored, .lease = entry.lease});
  }
  return contents;
}

absl::Status InProcessStore::Import(const StoreContents& contents) {
  if (contents.entries.size() > options_.max_keys) {
    return absl::ResourceExhaustedError(
        absl::StrCat(contents.entries.size(), " keys are more than ",
                     options_.max_keys, "; raise max_keys"));
  }
  std::map<std::string, Entry, std::less<>> entries;
  for (const StoreContents::Entry& entry : contents.entries) {
    const auto& [key, stored, lease] = entry;
    TE_RETURN_IF_ERROR(ValidateCall(key, clock_.Now(), kNoDeadline));
    TE_RETURN_IF_ERROR(ValidateValue(key, stored.value));
    TE_RETURN_IF_ERROR(ValidateLease(key, lease));
    if (stored.version == kAbsent || stored.version > contents.last_version ||
        (!entries.empty() && key <= entries.rbegin()->first)) {
      return absl::InvalidArgumentError(
          absl::StrCat(DescribeKey(key), " is out of order, or its version ",
                       stored.version, " above the last one"));
    }
    entries.emplace_hint(
        entries.end(), key,
        Entry{.stored = stored, .lease = lease, .expiry = ExpiryOf(lease)});
  }
  MutexLock lock(mutex_);
  entries_ = std::move(entries);
  last_version_ = contents.last_version;
  ++changes_;
  return absl::OkStatus();
}

uint64_t InProcessStore::changes() const {
  MutexLock lock(mutex_);
  return changes_;
}

}  // namespace te
