#include "te/transport/shm/mapping_list.h"

#include <algorithm>

#include "absl/types/span.h"
#include "te/transport/shm/hello.h"
#include "te/transport/shm/unix_socket.h"

namespace te::shm {

MappingList::MappingList() {
  free_.reserve(kMaxMappings);
  for (uint32_t index = kMaxMappings; index > 0; --index) {
    free_.push_back(index - 1);
  }
}

MappingId MappingList::Add(const LocalMemory& memory) {
  if (free_.empty()) return {};
  const uint32_t index = free_.back();
  free_.pop_back();
  Entry& entry = entries_[index];
  // 0 names nothing.
  last_serial_ = std::max(last_serial_ + 1, uint32_t{1});
  entry.serial = last_serial_;
  entry.taken = true;
  entry.slot = memory.slot;
  entry.fd = memory.fd;
  entry.writable = memory.remote_write;
  return {.index = index, .serial = entry.serial};
}

MappingId MappingList::Remove(uint32_t slot) {
  const auto found = std::find_if(
      entries_.begin(), entries_.end(),
      [slot](const Entry& e) { return e.taken && e.slot == slot; });
  if (found == entries_.end()) return {};
  found->taken = false;
  found->fd = -1;
  const auto index = static_cast<uint32_t>(found - entries_.begin());
  free_.push_back(index);
  return {.index = index, .serial = found->serial};
}

MappingList::Untold MappingList::All() const {
  Untold all;
  for (uint32_t index = 0; index < kMaxMappings; ++index) {
    if (entries_[index].taken) all.insert(index);
  }
  // Which comes last.
  all.insert(kMaxMappings);
  return all;
}

bool MappingList::Tell(int socket, Untold& untold) const {
  // What is gone costs no descriptor, so nothing is in its way.
  const auto is_gone = [&](uint32_t i) {
    return i < kMaxMappings && !entries_[i].taken;
  };
  absl::Status status;
  std::erase_if(untold, [&](uint32_t index) {
    if (!is_gone(index) || !status.ok()) return false;
    status = Send(socket, index);
    return status.ok();
  });
  while (!untold.empty() && status.ok()) {
    status = Send(socket, *untold.begin());
    if (status.ok()) untold.erase(untold.begin());
  }
  return absl::IsResourceExhausted(status);
}

absl::Status MappingList::Send(int socket, uint32_t index) const {
  static const Entry kNone;
  const Entry& entry = index < kMaxMappings ? entries_[index] : kNone;
  MappingNotice notice = {.mapping = {.index = index},
                          .writable = entry.writable ? 1u : 0u};
  if (!entry.taken) return SendMessage(socket, BytesOf(notice));
  notice.mapping.serial = entry.serial;
  return SendMessage(socket, BytesOf(notice), {&entry.fd, 1});
}

}  // namespace te::shm
