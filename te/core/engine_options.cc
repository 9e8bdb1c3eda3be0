#include "te/core/engine_options.h"

#include "absl/strings/str_cat.h"
#include "te/base/status_macros.h"
#include "te/core/rail_model.h"
#include "te/core/rail_scheduler.h"
#include "te/metadata/buffer_table.h"
#include "te/transport/slice.h"

namespace te {
namespace {

absl::Status Check(absl::string_view name, int64_t value, int64_t low,
                   int64_t high) {
  if (value >= low && value <= high) return absl::OkStatus();
  return absl::InvalidArgumentError(absl::StrCat("engine option ", name, " is ",
                                                 value, "; it must be from ",
                                                 low, " to ", high));
}

absl::Status Check(absl::string_view name, Duration value) {
  constexpr Duration kLongest = std::chrono::hours(24 * 365);
  return Check(absl::StrCat(name, " (ns)"), value.count(), 1, kLongest.count());
}

absl::Status CheckScheduling(const RailScheduler::Options& options) {
  constexpr int64_t kMostBytes = int64_t{1} << 40;
  const RailModelOptions& model = options.model;
  TE_RETURN_IF_ERROR(Check("scheduling.max_in_flight",
                           static_cast<int64_t>(options.max_in_flight),
                           kMaxSliceBytes, kMostBytes));
  TE_RETURN_IF_ERROR(Check("scheduling.model.min_window",
                           static_cast<int64_t>(model.min_window), 4096,
                           kMostBytes));
  TE_RETURN_IF_ERROR(Check("scheduling.model.max_window",
                           static_cast<int64_t>(model.max_window),
                           static_cast<int64_t>(model.min_window), kMostBytes));
  TE_RETURN_IF_ERROR(Check("scheduling.model.slack", model.slack));
  TE_RETURN_IF_ERROR(Check("scheduling.model.tight_slack", model.tight_slack));
  TE_RETURN_IF_ERROR(Check("scheduling.model.sample_time", model.sample_time));
  TE_RETURN_IF_ERROR(Check("scheduling.model.memory", model.memory));
  TE_RETURN_IF_ERROR(Check("scheduling.model.first_pause", model.first_pause));
  TE_RETURN_IF_ERROR(
      Check("scheduling.model.longest_pause", model.longest_pause));
  TE_RETURN_IF_ERROR(Check("scheduling.model.forgiveness", model.forgiveness));
  TE_RETURN_IF_ERROR(Check("scheduling.tight_time", options.tight_time));
  if (options.far_factor >= 1 && options.far_factor <= 1000) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(
      absl::StrCat("engine option scheduling.far_factor is ",
                   options.far_factor, "; it must be from 1 to 1000"));
}

}  // namespace

absl::Status EngineOptions::Validate() const {
  TE_RETURN_IF_ERROR(Check("default_timeout", default_timeout));
  TE_RETURN_IF_ERROR(Check("connect_timeout", connect_timeout));
  TE_RETURN_IF_ERROR(
      Check("max_connect_attempts", max_connect_attempts, 1, 1000));
  TE_RETURN_IF_ERROR(Check("max_slice_attempts", max_slice_attempts, 1, 1000));
  TE_RETURN_IF_ERROR(Check("spin (ns)", spin.count(), 0, 1'000'000'000));
  TE_RETURN_IF_ERROR(
      Check("max_spin (ns)", max_spin.count(), 0, 1'000'000'000));
  TE_RETURN_IF_ERROR(
      Check("slice_bytes", slice_bytes, 4096, kMaxSliceBytes / 2));
  TE_RETURN_IF_ERROR(
      Check("min_slice_bytes", min_slice_bytes, 4096, kMaxSliceBytes / 2));
  TE_RETURN_IF_ERROR(CheckScheduling(scheduling));
  TE_RETURN_IF_ERROR(
      Check("max_slices", static_cast<int64_t>(max_slices), 1, 1 << 28));
  TE_RETURN_IF_ERROR(
      Check("max_batches", static_cast<int64_t>(max_batches), 1, 1 << 20));
  TE_RETURN_IF_ERROR(Check("max_buffers", static_cast<int64_t>(max_buffers), 1,
                           static_cast<int64_t>(BufferTable::kMaxBuffers)));
  TE_RETURN_IF_ERROR(
      Check("max_segments", static_cast<int64_t>(max_segments), 1, 1 << 24));
  TE_RETURN_IF_ERROR(Check("max_notifications",
                           static_cast<int64_t>(max_notifications), 1,
                           1 << 24));
  return Check("control_threads", control_threads, 1, 256);
}

}  // namespace te
