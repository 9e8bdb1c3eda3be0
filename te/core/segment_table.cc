#include "te/core/segment_table.h"

#include <random>
#include <utility>

#include "absl/strings/str_cat.h"

namespace te {
namespace {

absl::Status NotOpen() {
  return absl::NotFoundError(
      "the segment is not open (any more); see OpenSegment");
}

}  // namespace

absl::StatusOr<SegmentTable::Entry> SegmentTable::Acquire(
    absl::string_view name, const PeerServices& services) {
  MutexLock lock(mutex_);
  const auto known = ids_.find(name);
  if (known != ids_.end()) {
    Segment& segment = segments_[known->second];
    ++segment.users;
    return Entry{.id = {known->second}, .peer = segment.peer};
  }
  if (segments_.size() >= max_segments_) {
    return absl::ResourceExhaustedError(
        absl::StrCat("all ", max_segments_,
                     " segments are open; close some, or raise max_segments"));
  }
  const uint64_t id = next_id_++;
  auto peer = std::make_shared<Peer>(std::string(name),
                                     TakeRails(std::string(name)), services);
  segments_[id] = {.peer = peer, .users = 1};
  ids_[std::string(name)] = id;
  return Entry{.id = {id}, .peer = std::move(peer)};
}

absl::StatusOr<std::shared_ptr<Peer>> SegmentTable::Release(SegmentId id) {
  MutexLock lock(mutex_);
  const auto found = segments_.find(id.value);
  if (found == segments_.end()) return NotOpen();
  if (--found->second.users > 0) return std::shared_ptr<Peer>();
  std::shared_ptr<Peer> peer = std::move(found->second.peer);
  segments_.erase(found);
  ids_.erase(peer->name());
  // An arbitrary one makes room; it would take as many others to be closed
  // before its bytes have arrived for that to matter.
  if (rails_.size() == max_segments_) rails_.erase(rails_.begin());
  rails_[peer->name()] = peer->rails();
  return peer;
}

std::shared_ptr<RailHistory> SegmentTable::TakeRails(const std::string& name) {
  const auto known = rails_.find(name);
  if (known == rails_.end()) {
    // Unguessable: whoever knew it could cut other engines' rails.
    std::random_device random;
    return std::make_shared<RailHistory>((uint64_t{random()} << 32) | random());
  }
  std::shared_ptr<RailHistory> rails = std::move(known->second);
  rails_.erase(known);
  return rails;
}

absl::StatusOr<std::shared_ptr<Peer>> SegmentTable::Find(SegmentId id) const {
  MutexLock lock(mutex_);
  const auto found = segments_.find(id.value);
  if (found == segments_.end()) return NotOpen();
  return found->second.peer;
}

std::shared_ptr<Peer> SegmentTable::Find(absl::string_view name) const {
  MutexLock lock(mutex_);
  const auto found = ids_.find(name);
  return found == ids_.end() ? nullptr : segments_.at(found->second).peer;
}

std::vector<std::shared_ptr<Peer>> SegmentTable::All() const {
  std::vector<std::shared_ptr<Peer>> peers;
  MutexLock lock(mutex_);
  for (const auto& [id, segment] : segments_) peers.push_back(segment.peer);
  return peers;
}

}  // namespace te
