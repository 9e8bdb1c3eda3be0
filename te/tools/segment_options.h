#ifndef TE_TOOLS_SEGMENT_OPTIONS_H_
#define TE_TOOLS_SEGMENT_OPTIONS_H_

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "te/base/clock.h"

namespace te::tools {

// As on the command line.
struct SegmentFlags {
  std::string metadata_server;
  std::string format = "text";
  bool force = false;
  int64_t buffers = 20;
  double timeout = 5;
  double poll = 5;
};

enum class SegmentCommand { kList, kShow, kWatch, kDelete };

struct SegmentOptions {
  SegmentCommand command = SegmentCommand::kList;
  // For kShow and kDelete a segment; for the others the beginning of the names.
  std::string name;
  // For OpenMetadataStore, or "p2p".
  std::string metadata_server;
  bool json = false;
  bool force = false;
  // That are shown as text at most.
  size_t buffers = 0;
  // For each call of the store.
  Duration timeout = Duration::zero();
  // Between two looks of kWatch at everything.
  Duration poll = Duration::zero();
};

// `words`: what stands beside the flags. INVALID_ARGUMENT says what is wrong.
absl::StatusOr<SegmentOptions> ParseSegmentOptions(
    const SegmentFlags& flags, const std::vector<std::string>& words);

}  // namespace te::tools

#endif  // TE_TOOLS_SEGMENT_OPTIONS_H_
