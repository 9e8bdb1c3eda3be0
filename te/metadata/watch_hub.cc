#include "te/metadata/watch_hub.h"

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "glog/logging.h"
#include "te/base/mutex.h"
#include "te/base/status_macros.h"
#include "te/metadata/metadata_store.h"

namespace te {

class WatchHub::Watch final : public StoreWatch {
 public:
  Watch(WatchHub& hub, const WatchScope& scope, WatchCallback on_event)
      : hub_(hub), scope_(scope), on_event_(std::move(on_event)) {}
  ~Watch() override { hub_.Remove(this); }

  const WatchScope& scope() const { return scope_; }
  void Tell(const WatchEvent& event) const { on_event_(event); }

 private:
  WatchHub& hub_;
  const WatchScope scope_;
  const WatchCallback on_event_;
};

WatchHub::~WatchHub() {
  MutexLock lock(mutex_);
  CHECK_EQ(watches_, 0u) << "a watch outlives its store";
}

absl::StatusOr<std::unique_ptr<StoreWatch>> WatchHub::Add(
    const WatchScope& scope, WatchCallback on_event) {
  TE_RETURN_IF_ERROR(ValidateScope(scope));
  MutexLock lock(mutex_);
  if (watches_ >= options_.max_watches) {
    return absl::ResourceExhaustedError(
        absl::StrCat(DescribeKey(scope.key), " cannot be watched: there are ",
                     watches_, " watches already, which is the limit"));
  }
  auto watch = std::make_unique<Watch>(*this, scope, std::move(on_event));
  ++watches_;
  const auto [found, first] = scopes_.try_emplace(scope);
  Scope& entry = found->second;
  entry.watches.insert(watch.get());
  if (first) {
    entry.begun = options_.begins_at_once;
    if (scope.prefix) ++prefix_lengths_[scope.key.size()];
    if (options_.on_scope) options_.on_scope(scope, true);
  }
  if (entry.begun) {
    watch->Tell({.kind = WatchEvent::Kind::kBegun});
  } else if (!entry.status.ok()) {
    watch->Tell({.kind = WatchEvent::Kind::kBroken, .status = entry.status});
  }
  return watch;
}

void WatchHub::Remove(Watch* watch) {
  MutexLock lock(mutex_);
  --watches_;
  const WatchScope& scope = watch->scope();
  const auto found = scopes_.find(scope);
  found->second.watches.erase(watch);
  if (!found->second.watches.empty()) return;
  scopes_.erase(found);
  if (scope.prefix) {
    const auto length = prefix_lengths_.find(scope.key.size());
    if (--length->second == 0) prefix_lengths_.erase(length);
  }
  if (options_.on_scope) options_.on_scope(scope, false);
}

void WatchHub::Tell(const WatchScope& scope, const WatchEvent& event) {
  const auto found = scopes_.find(scope);
  if (found == scopes_.end()) return;
  // What comes before kBegun was heard for another scope's sake.
  if (event.kind == WatchEvent::Kind::kChanged && !found->second.begun) return;
  for (const Watch* watch : found->second.watches) watch->Tell(event);
}

void WatchHub::Change(absl::string_view key, uint64_t version) {
  const WatchEvent event = {
      .kind = WatchEvent::Kind::kChanged, .key = key, .version = version};
  MutexLock lock(mutex_);
  if (watches_ == 0) return;
  Tell({.key = std::string(key)}, event);
  for (const auto& [length, scopes] : prefix_lengths_) {
    if (length > key.size()) continue;
    Tell({.key = std::string(key.substr(0, length)), .prefix = true}, event);
  }
}

void WatchHub::Begin(const WatchScope& scope) {
  MutexLock lock(mutex_);
  const auto found = scopes_.find(scope);
  if (found == scopes_.end()) return;
  found->second.begun = true;
  found->second.status = absl::OkStatus();
  Tell(scope, {.kind = WatchEvent::Kind::kBegun});
}

void WatchHub::Break(const WatchScope& scope, const absl::Status& why) {
  MutexLock lock(mutex_);
  BreakLocked(scope, why);
}

void WatchHub::BreakAll(const absl::Status& why) {
  MutexLock lock(mutex_);
  for (const auto& [scope, entry] : scopes_) BreakLocked(scope, why);
}

void WatchHub::BreakLocked(const WatchScope& scope, const absl::Status& why) {
  const auto found = scopes_.find(scope);
  if (found == scopes_.end()) return;
  found->second.begun = false;
  found->second.status = why;
  Tell(scope, {.kind = WatchEvent::Kind::kBroken, .status = why});
}

bool WatchHub::Has(const WatchScope& scope) const {
  MutexLock lock(mutex_);
  return scopes_.contains(scope);
}

std::vector<WatchScope> WatchHub::Scopes() const {
  MutexLock lock(mutex_);
  std::vector<WatchScope> scopes;
  scopes.reserve(scopes_.size());
  for (const auto& [scope, entry] : scopes_) scopes.push_back(scope);
  return scopes;
}

}  // namespace te
