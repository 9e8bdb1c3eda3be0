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
namespace {

size_t BytesOf(absl::string_view key, absl::string_view value) {
  return key.size() + value.size();
}

}  // namespace

InProcessStore::Entry* InProcessStore::Find(absl::string_view key) {
  const auto found = entries_.find(key);
  if (found == entries_.end()) return nullptr;
  if (clock_.Now() < found->second.expiry) return &found->second;
  Erase(found);
  return nullptr;
}

InProcessStore::Entries::iterator InProcessStore::Erase(
    Entries::iterator entry) {
  bytes_ -= BytesOf(entry->first, entry->second.stored.value);
  return entries_.erase(entry);
}

bool InProcessStore::HasRoom(absl::string_view key, absl::string_view value) {
  const Entry* present = Find(key);
  const size_t keys = entries_.size() + (present == nullptr ? 1 : 0);
  const size_t freed =
      present == nullptr ? 0 : BytesOf(key, present->stored.value);
  return keys <= options_.max_keys &&
         bytes_ - freed + BytesOf(key, value) <= options_.max_bytes;
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
    entry = now < entry->second.expiry ? std::next(entry) : Erase(entry);
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
  if (!HasRoom(key, value)) RemoveExpired();
  if (!HasRoom(key, value)) {
    return absl::ResourceExhaustedError(absl::StrCat(
        DescribeKey(key), ": the store is full with ", entries_.size(),
        " keys and ", bytes_, " bytes; raise max_keys or max_bytes"));
  }
  if (Entry* present = Find(key); present != nullptr) {
    bytes_ -= BytesOf(key, present->stored.value);
  }
  bytes_ += BytesOf(key, value);
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
  Erase(entries_.find(key));
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
  Entries entries;
  size_t bytes = 0;
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
    bytes += BytesOf(key, stored.value);
  }
  if (entries.size() > options_.max_keys || bytes > options_.max_bytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat(entries.size(), " keys with ", bytes,
                     " bytes do not fit; raise max_keys or max_bytes"));
  }
  MutexLock lock(mutex_);
  entries_ = std::move(entries);
  bytes_ = bytes;
  last_version_ = contents.last_version;
  ++changes_;
  return absl::OkStatus();
}

void InProcessStore::Sweep() {
  MutexLock lock(mutex_);
  RemoveExpired();
}

uint64_t InProcessStore::changes() const {
  MutexLock lock(mutex_);
  return changes_;
}

}  // namespace te
