// Segments for people, and as JSON.

#ifndef TE_TOOLS_SEGMENT_TEXT_H_
#define TE_TOOLS_SEGMENT_TEXT_H_

#include <cstddef>
#include <string>
#include <vector>

#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "te/metadata/segment_descriptor.h"
#include "te/metadata/segment_parts.h"
#include "te/metadata/stored_segment.h"

namespace te::tools {

// A table, one line for each segment; what is wrong with an entry in its line.
std::string ListText(const std::vector<ListedSegment>& segments);
// An array; an entry that is wrong has "name" and "error".
std::string ListJson(const std::vector<ListedSegment>& segments);

// All of a segment; at most so many of its buffers.
std::string ShowText(const SegmentSnapshot& segment, size_t max_buffers);
std::string ShowJson(const SegmentSnapshot& segment);

// One line about something that happened to a segment, with the time: what it
// is now, or what is wrong with it; NOT_FOUND needs no word. As JSON an object
// with "time", "event", "name", and "segment" or "error".
std::string EventText(absl::string_view what, const std::string& name,
                      const absl::StatusOr<SegmentSnapshot>& segment);
std::string EventJson(absl::string_view what, const std::string& name,
                      const absl::StatusOr<SegmentSnapshot>& segment);

// "incarnation 1a2b..., process 7 at 10.0.0.1:9000".
std::string OwnerText(const SegmentDescriptor& descriptor);

}  // namespace te::tools

#endif  // TE_TOOLS_SEGMENT_TEXT_H_
