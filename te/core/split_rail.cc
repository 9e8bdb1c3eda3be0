#include "te/core/split_rail.h"

#include <algorithm>

#include "absl/strings/str_cat.h"
#include "te/base/status_macros.h"

namespace te {

// Neighbours mostly go the same way.
void SplitRail::Post(absl::Span<Slice* const> slices) {
  while (!slices.empty()) {
    // Read before it is posted: it may be gone afterwards.
    const size_t rail = slices.front()->transport;
    const auto end =
        std::find_if(slices.begin(), slices.end(),
                     [rail](const Slice* s) { return s->transport != rail; });
    const auto count = static_cast<size_t>(end - slices.begin());
    rails_[rail]->Post(slices.first(count));
    slices.remove_prefix(count);
  }
}

Progress SplitRail::Poll() {
  bool busy = true;
  bool moved = false;
  for (const auto& rail : rails_) {
    const Progress progress = rail->Poll();
    moved |= progress == Progress::kMoved;
    busy &= progress == Progress::kBusy;
  }
  if (moved) return Progress::kMoved;
  return busy ? Progress::kBusy : Progress::kIdle;
}

void SplitRail::BeginPolling() {
  for (const auto& rail : rails_) rail->BeginPolling();
}

void SplitRail::EndPolling() {
  for (const auto& rail : rails_) rail->EndPolling();
}

void SplitRail::Withdraw(absl::FunctionRef<bool(const Slice&)> matches,
                         const absl::Status& status) {
  for (const auto& rail : rails_) rail->Withdraw(matches, status);
}

void SplitRail::Close(const absl::Status& why) {
  for (const auto& rail : rails_) rail->Close(why);
}

absl::Status SplitRail::health() const {
  for (const auto& rail : rails_) TE_RETURN_IF_ERROR(rail->health());
  return absl::OkStatus();
}

std::string SplitRail::name() const {
  std::string name;
  for (const auto& rail : rails_) {
    absl::StrAppend(&name, name.empty() ? "" : "; else ", rail->name());
  }
  return name;
}

}  // namespace te
