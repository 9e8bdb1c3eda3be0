#ifndef TE_CORE_RAIL_HISTORY_H_
#define TE_CORE_RAIL_HISTORY_H_

#include <cstddef>
#include <cstdint>
#include <deque>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/strings/string_view.h"
#include "te/base/incarnation.h"
#include "te/base/mutex.h"

namespace te {

// The rails that an engine has had under one id: over which transports, to
// which incarnations of the peer. What they carried may still be under way
// after they were closed, and must be fenced (Transport::Fence) before another
// transport carries anything to the same incarnation.
//
// Thread-safe. Shared by the peers of one name, one after the other, and kept
// for the next.
class RailHistory {
 public:
  // So many are remembered; the oldest are forgotten. It would take as many
  // restarts of the peer while its first incarnation still runs, stalled, and
  // is found again, for that to matter.
  static constexpr size_t kMaxRails = 16;

  explicit RailHistory(uint64_t rail_id) : rail_id_(rail_id) {}

  // See Transport::Connect.
  uint64_t rail_id() const { return rail_id_; }

  // A rail over `transport` is about to carry something.
  void Add(const Incarnation& peer, absl::string_view transport);
  // It has been fenced.
  void Remove(const Incarnation& peer, absl::string_view transport);
  // Those that may have carried something, and are to be fenced before another
  // one does.
  std::vector<std::string> Transports(const Incarnation& peer) const;

 private:
  struct Past {
    Incarnation peer;
    std::string transport;
    friend bool operator==(const Past&, const Past&) = default;
  };

  const uint64_t rail_id_;
  mutable Mutex mutex_;
  // The oldest first; each once.
  std::deque<Past> rails_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace te

#endif  // TE_CORE_RAIL_HISTORY_H_
