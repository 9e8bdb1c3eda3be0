#ifndef TE_METADATA_SEGMENT_RESOLVER_H_
#define TE_METADATA_SEGMENT_RESOLVER_H_

#include <memory>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "te/base/clock.h"
#include "te/base/incarnation.h"
#include "te/metadata/metadata_store.h"
#include "te/metadata/segment_descriptor.h"
#include "te/metadata/segment_parts.h"

namespace te {

// How segments are found by name: in a metadata store, or by asking the peer
// itself. Implementations are thread-safe, keep no cache, and end every call by
// its deadline with DEADLINE_EXCEEDED or UNAVAILABLE.
class SegmentResolver {
 public:
  virtual ~SegmentResolver() = default;

  // The segment as it is now; NOT_FOUND when nobody publishes that name.
  // `known`, if not null, is what an earlier Lookup of the name returned, and
  // only what has changed since is asked for.
  virtual absl::StatusOr<SegmentSnapshot> Lookup(absl::string_view name,
                                                 const SegmentSnapshot* known,
                                                 MonotonicTime deadline) = 0;

  // Tells `on_event` when the segment may have changed; see
  // MetadataStore::Watch. WatchEvent::version is a revision. UNIMPLEMENTED
  // where nobody hears of changes.
  virtual absl::StatusOr<std::unique_ptr<StoreWatch>> Watch(
      absl::string_view /*name*/, WatchCallback /*on_event*/) {
    return absl::UnimplementedError("this resolver hears of no changes");
  }

  // Whether Lookup returns what was published last. If not, it asks the owner,
  // and a segment is published once: to do so again for every change of it
  // would change nothing.
  virtual bool keeps_descriptors() const { return true; }

  // Makes a descriptor, the caller's own, found under its name. A later version
  // of the same incarnation replaces an earlier one; an earlier one changes
  // nothing, so that publishing threads may overtake each other. Of the pages
  // of buffers, those go out that are not shared with the earlier descriptor.
  // ALREADY_EXISTS, saying by whom, while another incarnation holds the name.
  virtual absl::Status Publish(const SegmentDescriptor& descriptor,
                               MonotonicTime deadline) = 0;

  // How long a publication lasts unless it is renewed. Zero: until Withdraw.
  virtual Duration lease() const { return Duration::zero(); }

  // Lets what this object has published under the name last for another lease.
  // NOT_FOUND when it is not there any more: publish it again.
  virtual absl::Status Renew(absl::string_view /*name*/,
                             MonotonicTime /*deadline*/) {
    return absl::OkStatus();
  }

  // Takes back what this incarnation published under the name, if anything.
  virtual absl::Status Withdraw(absl::string_view name,
                                const Incarnation& incarnation,
                                MonotonicTime deadline) = 0;
};

}  // namespace te

#endif  // TE_METADATA_SEGMENT_RESOLVER_H_
