#ifndef TE_METADATA_WATCH_QUEUE_H_
#define TE_METADATA_WATCH_QUEUE_H_

#include <stddef.h>
#include <stdint.h>

#include <map>
#include <optional>
#include <string>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "te/metadata/metadata_service.pb.h"
#include "te/metadata/metadata_store.h"

namespace te {

struct WatchQueueOptions {
  // Of one watch.
  size_t max_keys = 1024;
  // Of all, in keys and what it takes to keep them.
  size_t max_bytes = size_t{256} << 10;
};

// The events that a reader of watches has yet to be told of. What it does not
// take in time is put together: several changes of a key become one, and when
// there are changes of too many keys, one kBegun says that something has been
// missed. So what it holds is bounded by the options and the number of watches,
// however slow the reader is. Thread-compatible.
class WatchQueue {
 public:
  explicit WatchQueue(const WatchQueueOptions& options = {})
      : options_(options) {}

  // An event of the watch `id`; `key` is that of a change, empty if the reader
  // knows it. A status other than OK says that the watch has not been begun.
  void Push(uint64_t id, const WatchEvent& event, absl::string_view key);
  void Refuse(uint64_t id, const absl::Status& why);
  // Forgets those of the watch.
  void Remove(uint64_t id);

  // The next one, of each watch in turn; false if there is none.
  bool Take(metadata::v1::WatchResponse& response);

  // How many Refuse has left here, which no number of watches bounds.
  size_t refusals() const { return refusals_; }
  size_t bytes() const { return bytes_; }

 private:
  // A removal and a put are both kept, since it is not known which of them came
  // last: stores may tell of them out of order.
  struct Change {
    bool removed = false;
    uint64_t version = MetadataStore::kAbsent;
  };
  struct Pending {
    // kBegun, or kBroken with this status; changes before it are of no interest
    // any more, nor are those behind it before it has been told.
    std::optional<absl::Status> state;
    bool refused = false;
    std::map<std::string, Change, std::less<>> changes;
  };

  void SetState(Pending& pending, const absl::Status& state);
  void AddChange(Pending& pending, absl::string_view key, uint64_t version);
  void TakeFrom(Pending& pending, metadata::v1::WatchResponse& response);

  const WatchQueueOptions options_;
  std::map<uint64_t, Pending> pending_;
  uint64_t last_taken_ = 0;
  size_t refusals_ = 0;
  size_t bytes_ = 0;
};

}  // namespace te

#endif  // TE_METADATA_WATCH_QUEUE_H_
