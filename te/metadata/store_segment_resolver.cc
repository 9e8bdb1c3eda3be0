#include "te/metadata/store_segment_resolver.h"

#include <stdint.h>

#include <algorithm>
#include <chrono>
#include <limits>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/cleanup/cleanup.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/time/time.h"
#include "absl/types/span.h"
#include "te/base/clock.h"
#include "te/base/incarnation.h"
#include "te/base/status_macros.h"
#include "te/metadata/buffer_table.h"
#include "te/metadata/metadata_store.h"
#include "te/metadata/segment_descriptor.h"
#include "te/metadata/segment_parts.h"
#include "te/metadata/stored_segment.h"
#include "te/metadata/value_part.h"

namespace te {
namespace {

// Of the parts that are put at once, unless one alone has more: a descriptor
// may be larger than what a store, or a server with a lower limit, takes in a
// call.
constexpr size_t kPutBytes = size_t{1} << 20;
static_assert(SegmentDescriptor::kMaxPageBytes <= kPutBytes);
static_assert(SegmentDescriptor::kMaxHeadBytes <=
              MetadataStore::kMaxValueBytes);

// Between looks at a segment that is being published.
constexpr Duration kFirstPause = std::chrono::milliseconds(2);
constexpr Duration kLastPause = std::chrono::milliseconds(100);

// How many of the parts, from the first one on, make one Put.
size_t CountForOnePut(absl::Span<const ValuePartView> parts) {
  size_t bytes = 0;
  size_t count = 0;
  while (count < parts.size() &&
         (count == 0 || bytes + parts[count].bytes.size() <= kPutBytes)) {
    bytes += parts[count++].bytes.size();
  }
  return count;
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

// Waits for a segment that is being published, while the deadline lasts.
absl::StatusOr<SegmentSnapshot> ReadWhole(MetadataStore& store,
                                          absl::string_view name,
                                          const SegmentSnapshot* known,
                                          MonotonicTime deadline) {
  for (Duration pause = kFirstPause;; pause = std::min(2 * pause, kLastPause)) {
    absl::StatusOr<SegmentSnapshot> found =
        ReadStoredSegment(store, name, known, deadline);
    if (!absl::IsAborted(found.status())) return found;
    const MonotonicTime now = RealClock().Now();
    if (TimeUntil(deadline, now) <= pause) {
      return absl::UnavailableError(absl::StrCat(
          "segment '", name, "': ", found.status().message(), "; try again"));
    }
    std::this_thread::sleep_until(DeadlineAfter(now, pause));
  }
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

absl::StatusOr<SegmentSnapshot> StoreSegmentResolver::Lookup(
    absl::string_view name, const SegmentSnapshot* known,
    MonotonicTime deadline) {
  TE_RETURN_IF_ERROR(ValidateSegmentName(name));
  absl::StatusOr<SegmentSnapshot> found =
      ReadWhole(*store_, name, known, deadline);
  if (absl::IsNotFound(found.status())) {
    return absl::NotFoundError(absl::StrCat(
        "segment '", name,
        "' is not published; check its name and that its process runs with the "
        "same metadata store"));
  }
  return found;
}

absl::StatusOr<std::unique_ptr<StoreWatch>> StoreSegmentResolver::Watch(
    absl::string_view name, WatchCallback on_event) {
  TE_RETURN_IF_ERROR(ValidateSegmentName(name));
  return store_->Watch({.key = SegmentKey(name)}, std::move(on_event));
}

absl::StatusOr<uint64_t> StoreSegmentResolver::Put(
    const SegmentDescriptor& descriptor, const SegmentDescriptor* before,
    uint64_t expected, MonotonicTime deadline) {
  const BufferTable& buffers = descriptor.buffers;
  const size_t pages =
      std::max(buffers.page_count(),
               before == nullptr ? 0 : before->buffers.page_count());
  const auto changed = [&](size_t page) {
    return before == nullptr ||
           before->buffers.page(page) != buffers.page(page);
  };
  TE_ASSIGN_OR_RETURN(const std::vector<ValuePart> parts,
                      SegmentParts(descriptor, changed, pages));
  std::vector<ValuePartView> views;
  views.reserve(parts.size());
  for (const ValuePart& part : parts) {
    views.push_back({.number = part.number, .bytes = part.bytes});
  }
  PutOptions options = {.expected_version = expected,
                        .lease = lease_,
                        .replace = before == nullptr};
  absl::Span<const ValuePartView> rest = views;
  do {
    const size_t count = CountForOnePut(rest);
    TE_ASSIGN_OR_RETURN(options.expected_version,
                        store_->Put(SegmentKey(descriptor.name),
                                    rest.first(count), options, deadline));
    options.replace = false;
    rest.remove_prefix(count);
  } while (!rest.empty());
  return *options.expected_version;
}

absl::StatusOr<std::optional<uint64_t>> StoreSegmentResolver::Replaceable(
    const SegmentDescriptor& descriptor, MonotonicTime deadline) {
  const absl::StatusOr<SegmentSnapshot> present =
      ReadStoredHead(*store_, descriptor.name, deadline);
  if (absl::IsNotFound(present.status())) return MetadataStore::kAbsent;
  if (!present.ok()) return present.status();
  const SegmentDescriptor& holder = present->descriptor;
  const bool own = holder.incarnation == descriptor.incarnation;
  if (!own && !holder.host.IsGone(descriptor.host)) return NameTaken(holder);
  if (own && holder.version > descriptor.version) return std::nullopt;
  return present->revision;
}

absl::Status StoreSegmentResolver::Publish(const SegmentDescriptor& descriptor,
                                           MonotonicTime deadline) {
  // What is put is checked then; not every buffer each time.
  const std::string& name = descriptor.name;
  Publication known;
  {
    MutexLock lock(mutex_);
    Publication& published = published_[name];
    ++published.under_way;
    known = published;
  }
  const absl::Cleanup end = [this, &name] {
    MutexLock lock(mutex_);
    --published_[name].under_way;
  };
  const bool is_new = known.store_version == MetadataStore::kAbsent ||
                      known.descriptor.incarnation != descriptor.incarnation;
  if (!is_new && known.descriptor.version >= descriptor.version) {
    return absl::OkStatus();
  }
  absl::StatusOr<uint64_t> put =
      Put(descriptor, is_new ? nullptr : &known.descriptor,
          is_new ? MetadataStore::kAbsent : known.store_version, deadline);
  while (absl::IsAborted(put.status())) {
    // Somebody was faster, or the store has lost the entry; each round starts
    // from what is there.
    TE_ASSIGN_OR_RETURN(const std::optional<uint64_t> expected,
                        Replaceable(descriptor, deadline));
    if (!expected.has_value()) return absl::OkStatus();
    put = Put(descriptor, nullptr, *expected, deadline);
  }
  if (!put.ok()) return put.status();
  MutexLock lock(mutex_);
  Publication& published = published_[name];
  // Publishing threads may overtake each other.
  if (published.store_version < *put) {
    published.descriptor = descriptor;
    published.store_version = *put;
  }
  return absl::OkStatus();
}

absl::Status StoreSegmentResolver::Renew(absl::string_view name,
                                         MonotonicTime deadline) {
  uint64_t version = MetadataStore::kAbsent;
  {
    MutexLock lock(mutex_);
    if (const auto found = published_.find(name); found != published_.end()) {
      version = found->second.store_version;
    }
  }
  const absl::Status renewed =
      version == MetadataStore::kAbsent
          ? absl::NotFoundError("nothing was published")
          : store_->Renew(SegmentKey(name), version, lease_, deadline);
  if (!absl::IsAborted(renewed) && !absl::IsNotFound(renewed)) return renewed;
  {
    MutexLock lock(mutex_);
    const auto found = published_.find(name);
    if (found != published_.end()) {
      // Published again in between, which begins a lease too.
      if (found->second.under_way > 0 ||
          found->second.store_version > version) {
        return absl::OkStatus();
      }
      found->second.store_version = MetadataStore::kAbsent;
    }
  }
  return absl::NotFoundError(absl::StrCat(
      "segment '", name, "' is not published any more: ", renewed.message()));
}

absl::Status StoreSegmentResolver::Withdraw(absl::string_view name,
                                            const Incarnation& incarnation,
                                            MonotonicTime deadline) {
  TE_RETURN_IF_ERROR(ValidateSegmentName(name));
  {
    MutexLock lock(mutex_);
    if (const auto found = published_.find(name); found != published_.end()) {
      found->second.store_version = MetadataStore::kAbsent;
    }
  }
  while (true) {
    const absl::StatusOr<SegmentSnapshot> current =
        ReadStoredHead(*store_, name, deadline);
    if (absl::IsNotFound(current.status())) return absl::OkStatus();
    if (!current.ok()) return current.status();
    if (current->descriptor.incarnation != incarnation) return absl::OkStatus();
    absl::Status removed =
        store_->Remove(SegmentKey(name), current->revision, deadline);
    if (absl::IsNotFound(removed)) return absl::OkStatus();
    if (!absl::IsAborted(removed)) return removed;
  }
}

}  // namespace te
