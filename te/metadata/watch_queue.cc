#include "te/metadata/watch_queue.h"

#include <stddef.h>
#include <stdint.h>

#include <algorithm>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/strings/string_view.h"
#include "te/metadata/metadata_service.pb.h"
#include "te/metadata/metadata_store.h"

namespace te {
namespace {

// A node of the map, about.
constexpr size_t kBesideKey = 96;

constexpr size_t kMaxMessageBytes = 1024;

}  // namespace

void WatchQueue::SetState(Pending& pending, const absl::Status& state) {
  for (const auto& [key, change] : pending.changes) {
    bytes_ -= key.size() + kBesideKey;
  }
  pending.changes.clear();
  pending.state = state;
}

void WatchQueue::AddChange(Pending& pending, absl::string_view key,
                           uint64_t version) {
  if (pending.state.has_value()) return;
  auto found = pending.changes.find(key);
  if (found == pending.changes.end()) {
    const size_t bytes = key.size() + kBesideKey;
    if (pending.changes.size() >= options_.max_keys ||
        bytes_ + bytes > options_.max_bytes) {
      SetState(pending, absl::OkStatus());
      return;
    }
    bytes_ += bytes;
    found = pending.changes.emplace(key, Change()).first;
  }
  Change& change = found->second;
  if (version == MetadataStore::kAbsent) change.removed = true;
  change.version = std::max(change.version, version);
}

void WatchQueue::Push(uint64_t id, const WatchEvent& event,
                      absl::string_view key) {
  Pending& pending = pending_[id];
  switch (event.kind) {
    case WatchEvent::Kind::kBegun:
      return SetState(pending, absl::OkStatus());
    case WatchEvent::Kind::kBroken:
      return SetState(pending, event.status);
    case WatchEvent::Kind::kChanged:
      return AddChange(pending, key, event.version);
  }
}

void WatchQueue::Refuse(uint64_t id, const absl::Status& why) {
  Pending& pending = pending_[id];
  SetState(pending, why);
  pending.refused = true;
  ++refusals_;
}

void WatchQueue::Remove(uint64_t id) {
  const auto found = pending_.find(id);
  if (found == pending_.end()) return;
  SetState(found->second, absl::OkStatus());
  if (found->second.refused) --refusals_;
  pending_.erase(found);
}

void WatchQueue::TakeFrom(Pending& pending,
                          metadata::v1::WatchResponse& response) {
  if (pending.state.has_value()) {
    const absl::Status state = *std::exchange(pending.state, std::nullopt);
    if (state.ok()) {
      response.mutable_begun();
      return;
    }
    auto& broken = *response.mutable_broken();
    broken.set_code(static_cast<int>(state.code()));
    broken.set_message(
        std::string(state.message().substr(0, kMaxMessageBytes)));
    broken.set_refused(pending.refused);
    return;
  }
  const auto first = pending.changes.begin();
  Change& change = first->second;
  auto& changed = *response.mutable_changed();
  changed.set_key(first->first);
  // The removal first: whoever hears of a put looks.
  if (std::exchange(change.removed, false)) {
    changed.set_version(MetadataStore::kAbsent);
    if (change.version != MetadataStore::kAbsent) return;
  } else {
    changed.set_version(change.version);
  }
  bytes_ -= first->first.size() + kBesideKey;
  pending.changes.erase(first);
}

bool WatchQueue::Take(metadata::v1::WatchResponse& response) {
  if (pending_.empty()) return false;
  auto next = pending_.upper_bound(last_taken_);
  if (next == pending_.end()) next = pending_.begin();
  auto& [id, pending] = *next;
  response.Clear();
  response.set_id(id);
  TakeFrom(pending, response);
  last_taken_ = id;
  if (pending.changes.empty()) {
    if (pending.refused) --refusals_;
    pending_.erase(next);
  }
  return true;
}

}  // namespace te
