#include "te/metadata/in_process_store.h"

#include <stdint.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <iterator>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "te/base/clock.h"
#include "te/base/mutex.h"
#include "te/base/status_macros.h"
#include "te/metadata/metadata_store.h"
#include "te/metadata/value_part.h"

namespace te {
namespace {

size_t KeyBytes(absl::string_view key) {
  return key.size() + InProcessStore::kBesideKey;
}

}  // namespace

InProcessStore::InProcessStore(const InProcessStoreOptions& options,
                               const Clock& clock)
    : options_(options),
      clock_(clock),
      hub_({.max_watches = options.max_watches, .begins_at_once = true}),
      last_version_(FirstVersion()) {}

void InProcessStore::Entry::Set(const ValuePart& part, uint64_t part_version) {
  const auto [present, is_new] = parts.try_emplace(part.number);
  if (is_new) bytes += kBesidePart;
  bytes += part.bytes.size();
  bytes -= present->second.bytes.size();
  present->second = {.bytes = part.bytes, .version = part_version};
}

InProcessStore::Entry* InProcessStore::Find(absl::string_view key) {
  const auto found = entries_.find(key);
  if (found == entries_.end()) return nullptr;
  if (clock_.Now() < found->second.expiry) return &found->second;
  Erase(found);
  return nullptr;
}

InProcessStore::Entries::iterator InProcessStore::Erase(
    Entries::iterator entry) {
  bytes_ -= entry->second.bytes;
  hub_.Change(entry->first, kAbsent);
  return entries_.erase(entry);
}

bool InProcessStore::HasRoom(absl::string_view key,
                             absl::Span<const ValuePartView> parts,
                             bool replace) {
  const Entry* present = Find(key);
  const bool anew = present == nullptr || replace;
  size_t added = anew ? KeyBytes(key) : 0;
  size_t freed = present != nullptr && replace ? present->bytes : 0;
  for (const ValuePartView& part : parts) {
    added += part.bytes.size() + kBesidePart;
    if (anew) continue;
    const auto old = present->parts.find(part.number);
    if (old == present->parts.end()) continue;
    freed += old->second.bytes.size() + kBesidePart;
  }
  return entries_.size() + (present == nullptr ? 1 : 0) <= options_.max_keys &&
         bytes_ - freed + added <= options_.max_bytes;
}

absl::Status InProcessStore::CheckVersion(absl::string_view key,
                                          std::optional<uint64_t> expected) {
  const Entry* entry = Find(key);
  const uint64_t present = entry == nullptr ? kAbsent : entry->version;
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

absl::StatusOr<uint64_t> InProcessStore::Put(
    absl::string_view key, absl::Span<const ValuePartView> parts,
    const PutOptions& options, MonotonicTime deadline) {
  TE_RETURN_IF_ERROR(ValidateCall(key, clock_.Now(), deadline));
  TE_RETURN_IF_ERROR(ValidateParts(key, parts));
  TE_RETURN_IF_ERROR(ValidateLease(key, options.lease));
  MutexLock lock(mutex_);
  TE_RETURN_IF_ERROR(CheckVersion(key, options.expected_version));
  if (!HasRoom(key, parts, options.replace)) RemoveExpired();
  if (!HasRoom(key, parts, options.replace)) {
    return absl::ResourceExhaustedError(absl::StrCat(
        DescribeKey(key), ": the store is full with ", entries_.size(),
        " keys and ", bytes_, " bytes; raise max_keys or max_bytes"));
  }
  Entry& entry = entries_[std::string(key)];
  bytes_ -= entry.bytes;
  ++last_version_;
  if (options.replace || entry.version == kAbsent) {
    entry = {.replaced = last_version_, .bytes = KeyBytes(key)};
  }
  entry.version = last_version_;
  for (const ValuePartView& part : parts) {
    // Empty, and nobody has seen it otherwise.
    if (part.bytes.empty() && !entry.parts.contains(part.number)) continue;
    entry.Set({.number = part.number, .bytes = std::string(part.bytes)},
              last_version_);
  }
  bytes_ += entry.bytes;
  entry.lease = options.lease;
  entry.expiry = ExpiryOf(options.lease);
  ++changes_;
  hub_.Change(key, last_version_);
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
                                                const GetOptions& options,
                                                MonotonicTime deadline) {
  TE_RETURN_IF_ERROR(ValidateCall(key, clock_.Now(), deadline));
  MutexLock lock(mutex_);
  const Entry* entry = Find(key);
  if (entry == nullptr) return KeyNotFound(key);
  StoredValue value = {.version = entry->version,
                       .whole = options.since < entry->replaced ||
                                options.since > entry->version};
  const size_t limit = std::min(options.max_bytes, kMaxValueBytes);
  size_t bytes = 0;
  for (auto it = entry->parts.lower_bound(options.first_part);
       it != entry->parts.end(); ++it) {
    const auto& [number, part] = *it;
    if (value.whole ? part.bytes.empty() : part.version <= options.since) {
      continue;
    }
    bytes += part.bytes.size();
    if (bytes > limit && !value.parts.empty()) {
      value.next_part = number;
      break;
    }
    value.parts.push_back({.number = number, .bytes = part.bytes});
  }
  return value;
}

absl::StatusOr<KeyList> InProcessStore::List(absl::string_view prefix,
                                             absl::string_view after,
                                             MonotonicTime deadline) {
  TE_RETURN_IF_ERROR(ValidateCall(prefix, clock_.Now(), deadline));
  MutexLock lock(mutex_);
  KeyList list;
  const MonotonicTime now = clock_.Now();
  size_t bytes = 0;
  auto entry = after < prefix ? entries_.lower_bound(prefix)
                              : entries_.upper_bound(after);
  for (; entry != entries_.end() && absl::StartsWith(entry->first, prefix);
       ++entry) {
    if (now >= entry->second.expiry) continue;
    if (bytes >= kListBytes) {
      list.more = true;
      break;
    }
    bytes += entry->first.size();
    list.keys.push_back(entry->first);
  }
  return list;
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

absl::StatusOr<std::unique_ptr<StoreWatch>> InProcessStore::Watch(
    const WatchScope& scope, WatchCallback on_event) {
  return hub_.Add(scope, std::move(on_event));
}

StoreContents InProcessStore::Export() {
  MutexLock lock(mutex_);
  RemoveExpired();
  StoreContents contents = {.last_version = last_version_};
  contents.entries.reserve(entries_.size());
  for (const auto& [key, entry] : entries_) {
    StoreContents::Entry& to = contents.entries.emplace_back();
    to.key = key;
    to.version = entry.version;
    to.replaced = entry.replaced;
    to.lease = entry.lease;
    for (const auto& [number, part] : entry.parts) {
      to.parts.push_back({.part = {.number = number, .bytes = part.bytes},
                          .version = part.version});
    }
  }
  return contents;
}

absl::StatusOr<InProcessStore::Entry> InProcessStore::FromContents(
    const StoreContents::Entry& from, uint64_t last_version) const {
  TE_RETURN_IF_ERROR(ValidateCall(from.key, clock_.Now(), kNoDeadline));
  TE_RETURN_IF_ERROR(ValidateLease(from.key, from.lease));
  const auto wrong = [&](absl::string_view what) {
    return absl::InvalidArgumentError(
        absl::StrCat(DescribeKey(from.key), ": ", what));
  };
  if (from.version > last_version || from.replaced > from.version ||
      from.replaced == kAbsent) {
    return wrong("its versions are zero, or above the last one");
  }
  Entry entry = {.version = from.version,
                 .replaced = from.replaced,
                 .bytes = KeyBytes(from.key),
                 .lease = from.lease,
                 .expiry = ExpiryOf(from.lease)};
  for (const auto& [part, version] : from.parts) {
    const ValuePartView view = {.number = part.number, .bytes = part.bytes};
    TE_RETURN_IF_ERROR(ValidateParts(from.key, {view}));
    if (version < from.replaced || version > from.version ||
        (!entry.parts.empty() && part.number <= entry.parts.rbegin()->first)) {
      return wrong("its parts are out of order, or not of its versions");
    }
    entry.Set(part, version);
  }
  return entry;
}

absl::Status InProcessStore::Import(const StoreContents& contents) {
  Entries entries;
  size_t bytes = 0;
  for (const StoreContents::Entry& from : contents.entries) {
    TE_ASSIGN_OR_RETURN(Entry entry, FromContents(from, contents.last_version));
    if (!entries.empty() && from.key <= entries.rbegin()->first) {
      return absl::InvalidArgumentError(
          absl::StrCat(DescribeKey(from.key), " is out of order"));
    }
    bytes += entry.bytes;
    entries.emplace_hint(entries.end(), from.key, std::move(entry));
  }
  if (entries.size() > options_.max_keys || bytes > options_.max_bytes) {
    return absl::ResourceExhaustedError(
        absl::StrCat(entries.size(), " keys with ", bytes,
                     " bytes do not fit; raise max_keys or max_bytes"));
  }
  MutexLock lock(mutex_);
  entries_ = std::move(entries);
  bytes_ = bytes;
  // What was put after the contents were written down is lost, and its versions
  // are not to be given again.
  last_version_ = std::max(contents.last_version, FirstVersion());
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
