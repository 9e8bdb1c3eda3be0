#include "te/tools/segment_text.h"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/str_join.h"
#include "absl/strings/string_view.h"
#include "absl/time/clock.h"
#include "absl/time/time.h"
#include "nlohmann/json.hpp"
#include "te/metadata/buffer_table.h"
#include "te/metadata/host_identity.h"
#include "te/metadata/segment_descriptor.h"
#include "te/metadata/segment_parts.h"
#include "te/metadata/stored_segment.h"
#include "te/program/size_text.h"
#include "te/program/text_table.h"

namespace te::tools {
namespace {

// In the order in which things are said.
using Json = nlohmann::ordered_json;

// What a store holds may be any bytes, which JSON cannot express.
std::string Dump(const Json& json, int indent) {
  return json.dump(indent, ' ', true, Json::error_handler_t::replace);
}

std::string TimeText(uint64_t seconds) {
  if (seconds == 0) return "unknown";
  // What does not fit becomes the far future.
  const auto fitting = static_cast<int64_t>(
      std::min<uint64_t>(seconds, std::numeric_limits<int64_t>::max()));
  return absl::FormatTime(absl::RFC3339_sec, absl::FromUnixSeconds(fitting),
                          absl::UTCTimeZone());
}

std::string Now() {
  return absl::FormatTime("%Y-%m-%dT%H:%M:%E3SZ", absl::Now(),
                          absl::UTCTimeZone());
}

std::string AddressText(uint64_t address) {
  return absl::StrCat("0x", absl::Hex(address));
}

std::vector<std::string> TransportNames(const SegmentDescriptor& descriptor) {
  std::vector<std::string> names;
  for (const auto& [name, attributes] : descriptor.transports) {
    names.push_back(name);
  }
  return names;
}

absl::string_view AccessText(const BufferDescriptor& buffer) {
  if (buffer.remote_read && buffer.remote_write) return "read, write";
  if (buffer.remote_read) return "read";
  return buffer.remote_write ? "write" : "none";
}

Json HeadJson(const SegmentSnapshot& segment) {
  const SegmentDescriptor& descriptor = segment.descriptor;
  const HostIdentity& host = descriptor.host;
  Json json = {
      {"name", descriptor.name},
      {"incarnation", descriptor.incarnation.ToString()},
      {"version", descriptor.version},
      {"revision", segment.revision},
      {"started_at", descriptor.started_at},
      {"host",
       {{"boot_id", host.boot_id},
        {"pid", host.pid},
        {"process_start_time", host.process_start_time},
        {"pid_namespace", host.pid_namespace},
        {"ipc_namespace", host.ipc_namespace},
        {"net_namespace", host.net_namespace}}},
      {"control_addresses", descriptor.control_addresses},
      {"transports", Json::object()},
      {"topology", Json::object()},
  };
  for (const auto& [name, attributes] : descriptor.transports) {
    json["transports"][name] = {
        {"attributes", absl::BytesToHexString(attributes)}};
  }
  for (const auto& [location, nics] : descriptor.topology) {
    json["topology"][location] = {{"preferred", nics.preferred},
                                  {"fallback", nics.fallback}};
  }
  return json;
}

Json BufferJson(const BufferDescriptor& buffer) {
  return {{"address", AddressText(buffer.address)},
          {"length", buffer.length},
          {"location", buffer.location.ToString()},
          {"remote_read", buffer.remote_read},
          {"remote_write", buffer.remote_write},
          {"generation", buffer.generation}};
}

std::string TopologyText(const SegmentDescriptor& descriptor) {
  std::string text;
  for (const auto& [location, nics] : descriptor.topology) {
    absl::StrAppend(&text, text.empty() ? "" : "; ", location, ": ",
                    absl::StrJoin(nics.preferred, ", "));
    if (nics.fallback.empty()) continue;
    absl::StrAppend(&text, ", else ", absl::StrJoin(nics.fallback, ", "));
  }
  return text.empty() ? "unknown" : text;
}

std::string HostText(const HostIdentity& host) {
  return absl::StrCat("process ", host.pid, " of boot ",
                      host.boot_id.empty() ? "unknown" : host.boot_id,
                      ", namespaces pid:", host.pid_namespace,
                      " ipc:", host.ipc_namespace, " net:", host.net_namespace);
}

std::string BuffersText(const BufferTable& buffers, size_t max_buffers) {
  if (buffers.empty()) return "";
  std::vector<std::vector<std::string>> rows = {
      {"  address", "length", "location", "peers may", "generation"}};
  for (const BufferDescriptor& buffer : buffers) {
    if (rows.size() > max_buffers) break;
    rows.push_back({"  " + AddressText(buffer.address),
                    program::FormatSize(buffer.length),
                    buffer.location.ToString(), std::string(AccessText(buffer)),
                    absl::StrCat(buffer.generation)});
  }
  std::string text = program::FormatTable(rows);
  const size_t more = buffers.size() - (rows.size() - 1);
  if (more > 0)
    absl::StrAppend(&text, "  and ", more, " more; see --buffers\n");
  return text;
}

}  // namespace

std::string OwnerText(const SegmentDescriptor& descriptor) {
  return absl::StrCat("incarnation ", descriptor.incarnation.ToString(),
                      ", process ", descriptor.host.pid, " at ",
                      absl::StrJoin(descriptor.control_addresses, ", "));
}

std::string ListText(const std::vector<ListedSegment>& segments) {
  if (segments.empty()) return "no segments\n";
  std::vector<std::vector<std::string>> rows = {
      {"name", "address", "process", "transports", "since", "incarnation"}};
  std::string errors;
  for (const ListedSegment& segment : segments) {
    const std::string name = absl::CHexEscape(segment.name);
    if (!segment.head.ok()) {
      absl::StrAppend(&errors, name, ": ", segment.head.status().message(),
                      "\n");
      continue;
    }
    const SegmentDescriptor& descriptor = segment.head->descriptor;
    rows.push_back({name, absl::StrJoin(descriptor.control_addresses, ","),
                    absl::StrCat(descriptor.host.pid),
                    absl::StrJoin(TransportNames(descriptor), ","),
                    TimeText(descriptor.started_at),
                    descriptor.incarnation.ToString()});
  }
  return absl::StrCat(rows.size() > 1 ? program::FormatTable(rows) : "",
                      errors);
}

std::string ListJson(const std::vector<ListedSegment>& segments) {
  Json json = Json::array();
  for (const ListedSegment& segment : segments) {
    if (segment.head.ok()) {
      json.push_back(HeadJson(*segment.head));
    } else {
      json.push_back({{"name", segment.name},
                      {"error", std::string(segment.head.status().message())}});
    }
  }
  return Dump(json, 2) + "\n";
}

std::string ShowText(const SegmentSnapshot& segment, size_t max_buffers) {
  const SegmentDescriptor& descriptor = segment.descriptor;
  uint64_t bytes = 0;
  for (const BufferDescriptor& buffer : descriptor.buffers) {
    bytes += std::min(buffer.length, ~uint64_t{0} - bytes);
  }
  std::vector<std::vector<std::string>> rows = {
      {"segment", descriptor.name},
      {"incarnation", descriptor.incarnation.ToString()},
      {"version",
       absl::StrCat(descriptor.version, ", revision ", segment.revision)},
      {"since", TimeText(descriptor.started_at)},
      {"host", HostText(descriptor.host)},
      {"control", absl::StrJoin(descriptor.control_addresses, ", ")},
      {"transports", absl::StrJoin(TransportNames(descriptor), ", ")},
      {"topology", TopologyText(descriptor)},
      {"buffers", absl::StrCat(descriptor.buffers.size(), ", ",
                               program::FormatSize(bytes), " in all")}};
  return program::FormatTable(rows) +
         BuffersText(descriptor.buffers, max_buffers);
}

std::string ShowJson(const SegmentSnapshot& segment) {
  Json json = HeadJson(segment);
  json["buffers"] = Json::array();
  for (const BufferDescriptor& buffer : segment.descriptor.buffers) {
    json["buffers"].push_back(BufferJson(buffer));
  }
  return Dump(json, 2) + "\n";
}

std::string EventText(absl::string_view what, const std::string& name,
                      const absl::StatusOr<SegmentSnapshot>& segment) {
  std::string text =
      absl::StrCat(Now(), "  ", what, "  ", absl::CHexEscape(name));
  if (segment.ok()) {
    absl::StrAppend(&text, "  version ", segment->descriptor.version, ", ",
                    OwnerText(segment->descriptor));
  } else if (!absl::IsNotFound(segment.status())) {
    absl::StrAppend(&text, "  ", segment.status().message());
  }
  return text + "\n";
}

std::string EventJson(absl::string_view what, const std::string& name,
                      const absl::StatusOr<SegmentSnapshot>& segment) {
  Json json = {{"time", Now()}, {"event", std::string(what)}, {"name", name}};
  if (segment.ok()) {
    json["segment"] = HeadJson(*segment);
  } else if (!absl::IsNotFound(segment.status())) {
    json["error"] = std::string(segment.status().message());
  }
  return Dump(json, -1) + "\n";
}

}  // namespace te::tools
