#include "te/metadata/segment_descriptor.h"

#include <stddef.h>
#include <stdint.h>

#include <algorithm>
#include <limits>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/ascii.h"
#include "absl/strings/escaping.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "te/base/host_port.h"
#include "te/base/incarnation.h"
#include "te/base/memory_location.h"
#include "te/base/status_macros.h"
#include "te/metadata/buffer_table.h"
#include "te/metadata/host_identity.h"
#include "te/metadata/segment.pb.h"
#include "te/metadata/transport_keys.h"

namespace te {
namespace {

constexpr size_t kMaxBootIdBytes = 64;  // a UUID has 36

absl::Status Invalid(absl::string_view what) {
  return absl::InvalidArgumentError(absl::StrCat("segment descriptor: ", what));
}

absl::Status CheckCount(absl::string_view what, size_t count, size_t limit) {
  if (count <= limit) return absl::OkStatus();
  return Invalid(
      absl::StrCat(count, " ", what, " are more than the limit of ", limit));
}

bool IsPrintable(absl::string_view text) {
  return std::all_of(text.begin(), text.end(), absl::ascii_isprint);
}

absl::Status ValidateControlAddress(const std::string& address) {
  absl::StatusOr<HostPort> parsed = HostPort::Parse(address);
  if (!parsed.ok()) {
    return Invalid(
        absl::StrCat("control address: ", parsed.status().message()));
  }
  if (parsed->port.value_or(0) == 0) {
    return Invalid(absl::StrCat("control address '", address, "' has no port"));
  }
  return absl::OkStatus();
}

absl::Status ValidateBuffer(const BufferDescriptor& buffer) {
  if (buffer.length == 0) {
    return Invalid(absl::StrCat("the buffer at 0x", absl::Hex(buffer.address),
                                " is empty"));
  }
  if (buffer.length > std::numeric_limits<uint64_t>::max() - buffer.address) {
    return Invalid(absl::StrCat("the buffer at 0x", absl::Hex(buffer.address),
                                " of ", buffer.length,
                                " bytes exceeds the address space"));
  }
  return absl::OkStatus();
}

absl::Status ValidateTransport(const std::string& name,
                               const std::string& attributes) {
  if (!IsTransportName(name)) {
    return Invalid(absl::StrCat("transport name '",
                                absl::CHexEscape(name.substr(0, 100)),
                                "' is malformed"));
  }
  return CheckCount(absl::StrCat("bytes of attributes for transport ", name),
                    attributes.size(), SegmentDescriptor::kMaxAttributeBytes);
}

absl::Status ValidateNics(const std::string& location,
                          const NicPreference& nics) {
  if (const auto parsed = MemoryLocation::Parse(location); !parsed.ok()) {
    return Invalid(absl::StrCat("topology: ", parsed.status().message()));
  }
  for (const auto* list : {&nics.preferred, &nics.fallback}) {
    TE_RETURN_IF_ERROR(CheckCount(absl::StrCat("NICs for ", location),
                                  list->size(), SegmentDescriptor::kMaxNics));
    for (const std::string& nic : *list) {
      if (nic.empty() || nic.size() > SegmentDescriptor::kMaxNicNameBytes ||
          !IsPrintable(nic)) {
        return Invalid(absl::StrCat("NIC name '",
                                    absl::CHexEscape(nic.substr(0, 100)),
                                    "' is malformed"));
      }
    }
  }
  return absl::OkStatus();
}

HostIdentity FromProto(const proto::HostIdentity& in) {
  return {.boot_id = in.boot_id(),
          .pid_namespace = in.pid_namespace(),
          .ipc_namespace = in.ipc_namespace(),
          .net_namespace = in.net_namespace(),
          .pid = in.pid(),
          .process_start_time = in.process_start_time()};
}

void ToProto(const HostIdentity& in, proto::HostIdentity& out) {
  out.set_boot_id(in.boot_id);
  out.set_pid_namespace(in.pid_namespace);
  out.set_ipc_namespace(in.ipc_namespace);
  out.set_net_namespace(in.net_namespace);
  out.set_pid(in.pid);
  out.set_process_start_time(in.process_start_time);
}

absl::StatusOr<BufferDescriptor> FromProto(const proto::Buffer& in) {
  absl::StatusOr<MemoryLocation> location =
      MemoryLocation::Parse(in.location());
  if (!location.ok()) return Invalid(location.status().message());
  BufferDescriptor out = {.address = in.address(),
                          .length = in.length(),
                          .location = *location,
                          .remote_read = in.remote_read(),
                          .remote_write = in.remote_write(),
                          .generation = in.generation()};
  for (const proto::TransportAttributes& transport : in.transports()) {
    const absl::Status added =
        out.keys.Add(transport.transport(), transport.attributes());
    if (!added.ok()) return Invalid(added.message());
  }
  return out;
}

void ToProto(const BufferDescriptor& in, proto::Buffer& out) {
  out.set_address(in.address);
  out.set_length(in.length);
  out.set_location(in.location.ToString());
  out.set_remote_read(in.remote_read);
  out.set_remote_write(in.remote_write);
  out.set_generation(in.generation);
  in.keys.ForEach([&](absl::string_view transport, absl::string_view key) {
    proto::TransportAttributes& added = *out.add_transports();
    added.set_transport(std::string(transport));
    added.set_attributes(std::string(key));
  });
}

absl::Status CheckProtocolVersion(uint32_t version) {
  if (version == 0) return Invalid("the protocol version is missing");
  if (version <= SegmentDescriptor::kProtocolVersion) return absl::OkStatus();
  return absl::UnimplementedError(
      absl::StrCat("segment descriptor: the peer writes protocol version ",
                   version, ", this te reads up to ",
                   SegmentDescriptor::kProtocolVersion, "; upgrade this te"));
}

absl::StatusOr<Incarnation> ParseIncarnation(const std::string& bytes) {
  absl::StatusOr<Incarnation> parsed = Incarnation::FromBytes(absl::MakeSpan(
      reinterpret_cast<const uint8_t*>(bytes.data()), bytes.size()));
  if (!parsed.ok()) return Invalid(parsed.status().message());
  return parsed;
}

void SetIncarnation(const Incarnation& incarnation, std::string& field) {
  field.assign(incarnation.bytes().begin(), incarnation.bytes().end());
}

absl::Status TakeTransports(proto::SegmentDescriptor& in,
                            SegmentDescriptor& out) {
  for (proto::TransportAttributes& transport : *in.mutable_transports()) {
    if (!out.transports
             .emplace(transport.transport(),
                      std::move(*transport.mutable_attributes()))
             .second) {
      return Invalid(absl::StrCat("transport '",
                                  absl::CHexEscape(transport.transport()),
                                  "' appears twice"));
    }
  }
  return absl::OkStatus();
}

absl::Status TakeTopology(const proto::SegmentDescriptor& in,
                          SegmentDescriptor& out) {
  for (const proto::NicPreference& nics : in.topology()) {
    const NicPreference preference = {
        .preferred = {nics.preferred().begin(), nics.preferred().end()},
        .fallback = {nics.fallback().begin(), nics.fallback().end()}};
    if (!out.topology.emplace(nics.location(), preference).second) {
      return Invalid(absl::StrCat("memory location '",
                                  absl::CHexEscape(nics.location()),
                                  "' appears twice in the topology"));
    }
  }
  return absl::OkStatus();
}

absl::StatusOr<SegmentDescriptor> FromProto(proto::SegmentDescriptor&& in) {
  SegmentDescriptor out;
  out.name = std::move(*in.mutable_name());
  TE_ASSIGN_OR_RETURN(out.incarnation, ParseIncarnation(in.incarnation()));
  out.version = in.version();
  out.started_at = in.started_at();
  out.host = FromProto(in.host());
  out.control_addresses.assign(in.control_addresses().begin(),
                               in.control_addresses().end());
  TE_RETURN_IF_ERROR(TakeTransports(in, out));
  TE_RETURN_IF_ERROR(TakeTopology(in, out));
  return out;
}

}  // namespace

absl::Status ValidateSegmentName(absl::string_view name) {
  if (!name.empty() && name.size() <= SegmentDescriptor::kMaxNameBytes &&
      IsPrintable(name)) {
    return absl::OkStatus();
  }
  return absl::InvalidArgumentError(absl::StrCat(
      "segment name '", absl::CHexEscape(name.substr(0, 300)), "': use 1 to ",
      SegmentDescriptor::kMaxNameBytes, " printable ASCII characters"));
}

absl::StatusOr<SegmentDescriptor> SegmentDescriptor::ParseHead(
    absl::string_view bytes, size_t* pages) {
  TE_RETURN_IF_ERROR(CheckCount("bytes", bytes.size(), kMaxHeadBytes));
  proto::SegmentDescriptor in;
  if (!in.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return Invalid(
        absl::StrCat("these ", bytes.size(), " bytes are no such message"));
  }
  TE_RETURN_IF_ERROR(CheckProtocolVersion(in.protocol_version()));
  TE_RETURN_IF_ERROR(CheckCount("pages", in.pages(), BufferTable::kMaxPages));
  if (pages != nullptr) *pages = in.pages();
  TE_ASSIGN_OR_RETURN(SegmentDescriptor out, FromProto(std::move(in)));
  TE_RETURN_IF_ERROR(out.Validate());
  return out;
}

absl::StatusOr<BufferTable::SharedPage> SegmentDescriptor::ParsePage(
    absl::string_view bytes, const Incarnation& incarnation) {
  TE_RETURN_IF_ERROR(
      CheckCount("bytes of a page", bytes.size(), kMaxPageBytes));
  if (bytes.empty()) return BufferTable::SharedPage();
  proto::BufferPage in;
  if (!in.ParseFromArray(bytes.data(), static_cast<int>(bytes.size()))) {
    return Invalid(
        absl::StrCat("these ", bytes.size(), " bytes are no page of buffers"));
  }
  TE_ASSIGN_OR_RETURN(const Incarnation owner,
                      ParseIncarnation(in.incarnation()));
  if (owner != incarnation) {
    return absl::AbortedError("the page is of another incarnation");
  }
  TE_RETURN_IF_ERROR(CheckCount("buffers in a page",
                                static_cast<size_t>(in.buffers_size()),
                                BufferTable::kPageBuffers));
  auto page = std::make_shared<BufferTable::Page>();
  page->reserve(static_cast<size_t>(in.buffers_size()));
  for (const proto::Buffer& buffer : in.buffers()) {
    TE_ASSIGN_OR_RETURN(BufferDescriptor converted, FromProto(buffer));
    TE_RETURN_IF_ERROR(ValidateBuffer(converted));
    page->push_back(std::move(converted));
  }
  return page;
}

absl::Status SegmentDescriptor::Validate() const {
  for (const BufferDescriptor& buffer : buffers) {
    TE_RETURN_IF_ERROR(ValidateBuffer(buffer));
  }
  return ValidateHead();
}

absl::Status SegmentDescriptor::ValidateHead() const {
  TE_RETURN_IF_ERROR(ValidateSegmentName(name));
  if (incarnation.IsZero()) return Invalid("the incarnation is zero");
  if (version == 0) return Invalid("the version is zero");
  TE_RETURN_IF_ERROR(
      CheckCount("bytes of boot id", host.boot_id.size(), kMaxBootIdBytes));
  if (!IsPrintable(host.boot_id)) return Invalid("the boot id is malformed");
  TE_RETURN_IF_ERROR(CheckCount("control addresses", control_addresses.size(),
                                kMaxControlAddresses));
  for (const std::string& address : control_addresses) {
    TE_RETURN_IF_ERROR(ValidateControlAddress(address));
  }
  TE_RETURN_IF_ERROR(
      CheckCount("transports", transports.size(), kMaxTransports));
  for (const auto& [transport, attributes] : transports) {
    TE_RETURN_IF_ERROR(ValidateTransport(transport, attributes));
  }
  TE_RETURN_IF_ERROR(
      CheckCount("memory locations", topology.size(), kMaxLocations));
  for (const auto& [location, nics] : topology) {
    TE_RETURN_IF_ERROR(ValidateNics(location, nics));
  }
  return absl::OkStatus();
}

absl::StatusOr<std::string> SegmentDescriptor::SerializePage(
    size_t number) const {
  const BufferTable::SharedPage page = buffers.page(number);
  if (page == nullptr) return std::string();
  proto::BufferPage out;
  SetIncarnation(incarnation, *out.mutable_incarnation());
  for (const BufferDescriptor& buffer : *page) {
    TE_RETURN_IF_ERROR(ValidateBuffer(buffer));
    ToProto(buffer, *out.add_buffers());
  }
  return out.SerializeAsString();
}

absl::StatusOr<std::string> SegmentDescriptor::SerializeHead() const {
  TE_RETURN_IF_ERROR(ValidateHead());
  proto::SegmentDescriptor out;
  out.set_protocol_version(kProtocolVersion);
  out.set_name(name);
  SetIncarnation(incarnation, *out.mutable_incarnation());
  out.set_version(version);
  out.set_started_at(started_at);
  out.set_pages(static_cast<uint32_t>(buffers.filled_pages()));
  ToProto(host, *out.mutable_host());
  for (const std::string& address : control_addresses) {
    out.add_control_addresses(address);
  }
  for (const auto& [transport, attributes] : transports) {
    proto::TransportAttributes& added = *out.add_transports();
    added.set_transport(transport);
    added.set_attributes(attributes);
  }
  for (const auto& [location, nics] : topology) {
    proto::NicPreference& added = *out.add_topology();
    added.set_location(location);
    for (const std::string& nic : nics.preferred) added.add_preferred(nic);
    for (const std::string& nic : nics.fallback) added.add_fallback(nic);
  }
  TE_RETURN_IF_ERROR(CheckCount("bytes", out.ByteSizeLong(), kMaxHeadBytes));
  return out.SerializeAsString();
}

}  // namespace te
