#include "te/metadata/store_segment_resolver.h"

#include <stdint.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "te/base/clock.h"
#include "te/base/incarnation.h"
#include "te/base/status_macros.h"
#include "te/metadata/metadata_store.h"
#include "te/metadata/segment_descriptor.h"

namespace te {
namespace {

static_assert(SegmentDescriptor::kMaxBytes <= MetadataStore::kMaxValueBytes);

std::string KeyOf(absl::string_view name) {
  return absl::StrCat("te/segment/", name);
}

// ", since 2026-01-31T12:00:00+00:00" where it is known.
std::string Since(uint64_t started_at) {
  if (started_at == 0) return "";
  // What a hostile store says does not fit into int64_t becomes the far future.
  const absl::Time start = absl::FromUnixSeconds(static_cast<int64_t>(
      std::min<uint64_t>(started_at, std::numeric_limits<int64_t>::max())));
  return absl::StrCat(", since ", absl::FormatTime(absl::RFC3339_sec, start,
                                                   absl::UTCTimeZone()));
}

}  // namespace

absl::Status StoreSegmentResolver::NameTaken(
    const SegmentDescriptor& holder) const {
  return absl::AlreadyExistsError(absl::StrCat(
      "segment name '", holder.name, "' is taken by incarnation ",
      holder.incarnation.ToString(), ", process ", holder.host.pid, " at ",
      absl::StrJoin(holder.control_addresses, ", "), Since(holder.started_at),
      "; stop that process or choose another name",
      lease_ == Duration::zero()
          ? ""
          : absl::StrCat(
                "; if it is dead already, its entry goes within ",
                std::chrono::ceil<std::chrono::seconds>(lease_).count(),
                " s")));
}

absl::StatusOr<StoreSegmentResolver::Published> StoreSegmentResolver::Read(
    absl::string_view name, MonotonicTime deadline) {
  const std::string key = KeyOf(name);
  TE_ASSIGN_OR_RETURN(StoredValue stored, store_->Get(key, deadline));
  absl::StatusOr<SegmentDescriptor> descriptor =
      SegmentDescriptor::Parse(stored.value);
  if (absl::IsUnimplemented(descriptor.status())) return descriptor.status();
  if (!descriptor.ok()) {
    return absl::DataLossError(absl::StrCat(
        "metadata key '", key,
        "' holds no segment descriptor: ", descriptor.status().message(),
        "; remove the key if nothing else uses it"));
  }
  if (descriptor->name != name) {
    return absl::DataLossError(absl::StrCat(
        "metadata key '", key, "' holds the descriptor of another segment, '",
        descriptor->name, "'; remove the key"));
  }
  return Published{*std::move(descriptor), stored.version};
}

absl::StatusOr<SegmentDescriptor> StoreSegmentResolver::Lookup(
    absl::string_view name, MonotonicTime deadline) {
  TE_RETURN_IF_ERROR(ValidateSegmentName(name));
  absl::StatusOr<Published> published = Read(name, deadline);
  if (absl::IsNotFound(published.status())) {
    return absl::NotFoundError(absl::StrCat(
        "segment '", name,
        "' is not published; check its name and that its process runs with the "
        "same metadata store"));
  }
  if (!published.ok()) return published.status();
  return std::move(published->descriptor);
}

absl::Status StoreSegmentResolver::Publish(const SegmentDescriptor& descriptor,
                                           MonotonicTime deadline) {
  TE_ASSIGN_OR_RETURN(std::string bytes, descriptor.Serialize());
  while (true) {
    absl::StatusOr<Published> current = Read(descriptor.name, deadline);
    uint64_t expected = MetadataStore::kAbsent;
    if (current.ok()) {
      const SegmentDescriptor& holder = current->descriptor;
      expected = current->store_version;
      const bool own = holder.incarnation == descriptor.incarnation;
      if (!own && !holder.host.IsGone(descriptor.host)) {
        return NameTaken(holder);
      }
      if (own && holder.version >= descriptor.version) {
        Remember(descriptor.name, expected);
        return absl::OkStatus();
      }
    } else if (!absl::IsNotFound(current.status())) {
      return current.status();
    }
    absl::StatusOr<uint64_t> put =
        store_->Put(KeyOf(descriptor.name), bytes,
                    {.expected_version = expected, .lease = lease_}, deadline);
    if (put.ok()) Remember(descriptor.name, *put);
    // Somebody was faster; each round starts from what he left.
    if (!absl::IsAborted(put.status())) return put.status();
  }
}

void StoreSegmentResolver::Remember(absl::string_view name,
                                    uint64_t store_version) {
  MutexLock lock(mutex_);
  uint64_t& known = published_[name];
  // Publishing threads may overtake each other.
  known = std::max(known, store_version);
}

absl::Status StoreSegmentResolver::Renew(absl::string_view name,
                                         MonotonicTime deadline) {
  uint64_t version = MetadataStore::kAbsent;
  {
    MutexLock lock(mutex_);
    if (const auto found = published_.find(name); found != published_.end()) {
      version = found->second;
    }
  }
  const absl::Status renewed =
      version == MetadataStore::kAbsent
          ? absl::NotFoundError("nothing was published")
          : store_->Renew(KeyOf(name), version, lease_, deadline);
  if (!absl::IsAborted(renewed) && !absl::IsNotFound(renewed)) return renewed;
  {
    MutexLock lock(mutex_);
    const auto found = published_.find(name);
    // Published again in between, which began a lease too.
    if (found != published_.end() && found->second > version) {
      return absl::OkStatus();
    }
    // A store that has lost its data counts from the beginning again.
    if (found != published_.end()) published_.erase(found);
  }
  return absl::NotFoundError(absl::StrCat(
      "segment '", name, "' is not published any more: ", renewed.message()));
}

absl::Status StoreSegmentResolver::Withdraw(absl::string_view name,
                                            const Incarnation& incarnation,
                                            MonotonicTime deadline) {
  TE_RETURN_IF_ERROR(ValidateSegmentName(name));
  while (true) {
    absl::StatusOr<Published> current = Read(name, deadline);
    if (absl::IsNotFound(current.status())) return absl::OkStatus();
    if (!current.ok()) return current.status();
    if (current->descriptor.incarnation != incarnation) return absl::OkStatus();
    absl::Status removed =
        store_->Remove(KeyOf(name), current->store_version, deadline);
    if (absl::IsNotFound(removed)) return absl::OkStatus();
    if (!absl::IsAborted(removed)) return removed;
  }
}

}  // namespace te
