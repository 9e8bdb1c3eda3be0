#include "te/core/rail_history.h"

#include <utility>

namespace te {

void RailHistory::Add(const Incarnation& peer, absl::string_view transport) {
  Past rail = {.peer = peer, .transport = std::string(transport)};
  MutexLock lock(mutex_);
  std::erase(rails_, rail);
  rails_.push_back(std::move(rail));
  if (rails_.size() > kMaxRails) rails_.pop_front();
}

void RailHistory::Remove(const Incarnation& peer, absl::string_view transport) {
  const Past rail = {.peer = peer, .transport = std::string(transport)};
  MutexLock lock(mutex_);
  std::erase(rails_, rail);
}

std::vector<std::string> RailHistory::Transports(
    const Incarnation& peer) const {
  std::vector<std::string> transports;
  MutexLock lock(mutex_);
  for (const Past& rail : rails_) {
    if (rail.peer == peer) transports.push_back(rail.transport);
  }
  return transports;
}

}  // namespace te
