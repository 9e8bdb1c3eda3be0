#include "te/core/engine_options.h"

#include <cstdint>
#include <functional>
#include <utility>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/status_matchers.h"
#include "te/transport/slice.h"

namespace te {
namespace {

using testing::HasSubstr;

TEST(EngineOptionsTest, TheDefaultsAreValid) {
  TE_EXPECT_OK(EngineOptions().Validate());
}

TEST(EngineOptionsTest, NamesTheOptionThatIsWrong) {
  const std::pair<const char*, std::function<void(EngineOptions&)>> cases[] = {
      {"default_timeout",
       [](EngineOptions& o) { o.default_timeout = Duration(0); }},
      {"connect_timeout",
       [](EngineOptions& o) { o.connect_timeout = Duration::max(); }},
      {"max_connect_attempts",
       [](EngineOptions& o) { o.max_connect_attempts = 0; }},
      {"max_slice_attempts",
       [](EngineOptions& o) { o.max_slice_attempts = 0; }},
      {"spin", [](EngineOptions& o) { o.spin = Duration(-1); }},
      {"max_spin", [](EngineOptions& o) { o.max_spin = Duration(-1); }},
      {"slice_bytes", [](EngineOptions& o) { o.slice_bytes = 4095; }},
      // The slicer would cut into pieces of half of that.
      {"slice_bytes", [](EngineOptions& o) { o.slice_bytes = kMaxSliceBytes; }},
      {"min_slice_bytes", [](EngineOptions& o) { o.min_slice_bytes = 0; }},
      {"scheduling.max_in_flight",
       [](EngineOptions& o) { o.scheduling.max_in_flight = 0; }},
      {"scheduling.far_factor",
       [](EngineOptions& o) { o.scheduling.far_factor = 0.5; }},
      {"scheduling.model.max_window",
       [](EngineOptions& o) {
         o.scheduling.model.max_window = o.scheduling.model.min_window - 1;
       }},
      {"scheduling.model.memory",
       [](EngineOptions& o) { o.scheduling.model.memory = Duration(0); }},
      {"max_slices", [](EngineOptions& o) { o.max_slices = 0; }},
      {"max_batches", [](EngineOptions& o) { o.max_batches = SIZE_MAX; }},
      {"max_buffers", [](EngineOptions& o) { o.max_buffers = 0; }},
      {"max_segments", [](EngineOptions& o) { o.max_segments = 0; }},
      {"max_notifications", [](EngineOptions& o) { o.max_notifications = 0; }},
      {"control_threads", [](EngineOptions& o) { o.control_threads = 0; }},
  };
  for (const auto& [name, spoil] : cases) {
    EngineOptions options;
    spoil(options);
    EXPECT_THAT(options.Validate(),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr(name)));
  }
}

}  // namespace
}  // namespace te
