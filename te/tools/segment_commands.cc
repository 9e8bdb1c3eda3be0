#include "te/tools/segment_commands.h"

#include <poll.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "glog/logging.h"
#include "te/base/clock.h"
#include "te/base/errno_status.h"
#include "te/base/status_macros.h"
#include "te/metadata/metadata_store.h"
#include "te/metadata/open_metadata_store.h"
#include "te/metadata/segment_parts.h"
#include "te/metadata/stored_segment.h"
#include "te/program/standard_streams.h"
#include "te/program/stop_signal.h"
#include "te/rpc/p2p_segment_resolver.h"
#include "te/tools/segment_options.h"
#include "te/tools/segment_text.h"
#include "te/tools/segment_watcher.h"

namespace te::tools {
namespace {

MonotonicTime DeadlineOf(const SegmentOptions& options) {
  return DeadlineAfter(RealClock().Now(), options.timeout);
}

// What was read of a segment, with an error that says what to do.
absl::StatusOr<SegmentSnapshot> Named(const std::string& name,
                                      absl::StatusOr<SegmentSnapshot> read) {
  if (!absl::IsNotFound(read.status())) return read;
  return absl::NotFoundError(absl::StrCat("there is no segment '", name,
                                          "'; see what there is with list"));
}

absl::Status List(const SegmentOptions& options, MetadataStore& store,
                  std::ostream& out) {
  TE_ASSIGN_OR_RETURN(
      const std::vector<ListedSegment> segments,
      ListStoredSegments(store, options.name, DeadlineOf(options)));
  out << (options.json ? ListJson(segments) : ListText(segments));
  return absl::OkStatus();
}

void Show(const SegmentOptions& options, const SegmentSnapshot& segment,
          std::ostream& out) {
  out << (options.json ? ShowJson(segment)
                       : ShowText(segment, options.buffers));
}

absl::Status Delete(const SegmentOptions& options, MetadataStore& store,
                    std::ostream& out) {
  const absl::StatusOr<SegmentSnapshot> head = Named(
      options.name, ReadStoredHead(store, options.name, DeadlineOf(options)));
  // What is no segment can be deleted too, if the store lets it be.
  const bool readable = head.ok();
  if (!readable && !absl::IsDataLoss(head.status()) &&
      !absl::IsUnimplemented(head.status())) {
    return head.status();
  }
  const std::string owner = readable ? OwnerText(head->descriptor)
                                     : std::string(head.status().message());
  if (!options.force) {
    return absl::FailedPreconditionError(absl::StrCat(
        "segment '", options.name, "' was not deleted (", owner, "): ",
        readable ? "nobody will find it until its engine, if that is alive, "
                   "publishes it again; if that is what you want, add --force"
                 : "if te has put it there, add --force; otherwise use the "
                   "store's own tools"));
  }
  // Of what was looked at, if it could be read, and of nothing that came since.
  const std::optional<uint64_t> version =
      readable ? std::optional<uint64_t>(head->revision) : std::nullopt;
  TE_RETURN_IF_ERROR(
      store.Remove(SegmentKey(options.name), version, DeadlineOf(options)));
  const absl::StatusOr<SegmentSnapshot> gone =
      readable ? head : absl::NotFoundError("it is deleted");
  out << (options.json ? EventJson("deleted", options.name, gone)
                       : absl::StrCat("Deleted segment '", options.name, "' (",
                                      owner, ")\n"));
  return absl::OkStatus();
}

// Says when the store goes and when it is back, once each.
class Complaints {
 public:
  void Hear(const absl::Status& status) {
    if (status.ok() && !last_.ok()) LOG(WARNING) << "the store is back";
    if (!status.ok() && last_.ok()) {
      LOG(WARNING) << "the store tells nothing now, and is tried again: "
                   << status;
    }
    last_ = status;
  }

 private:
  absl::Status last_;
};

absl::Status Watch(const SegmentOptions& options, MetadataStore& store,
                   program::StopSignal& stop, std::ostream& out) {
  TE_ASSIGN_OR_RETURN(const auto watcher,
                      SegmentWatcher::Create(
                          store, options.name, options.timeout,
                          [&](absl::string_view what, const std::string& name,
                              const absl::StatusOr<SegmentSnapshot>& segment) {
                            out << (options.json
                                        ? EventJson(what, name, segment)
                                        : EventText(what, name, segment))
                                << std::flush;
                          }));
  Complaints complaints;
  MonotonicTime look_at_all = DeadlineAfter(RealClock().Now(), options.poll);
  for (;;) {
    std::array<pollfd, 2> fds = {
        {{.fd = stop.fd(), .events = POLLIN, .revents = 0},
         {.fd = watcher->fd(), .events = POLLIN, .revents = 0}}};
    const auto left = std::chrono::ceil<std::chrono::milliseconds>(
        TimeUntil(look_at_all, RealClock().Now()));
    if (poll(fds.data(), fds.size(), static_cast<int>(left.count())) < 0 &&
        errno != EINTR) {
      return ErrnoToStatus(errno, "poll");
    }
    if (stop.Take() != 0) return absl::OkStatus();
    const bool at_all = RealClock().Now() >= look_at_all;
    if (!at_all && fds[1].revents == 0) continue;
    complaints.Hear(watcher->Look(at_all));
    if (at_all) look_at_all = DeadlineAfter(RealClock().Now(), options.poll);
    TE_RETURN_IF_ERROR(program::CheckWritten(out));
  }
}

}  // namespace

absl::Status RunSegmentCommand(const SegmentOptions& options,
                               program::StopSignal& stop, std::ostream& out) {
  if (options.metadata_server == "p2p") {
    P2pSegmentResolver resolver;
    TE_ASSIGN_OR_RETURN(
        const SegmentSnapshot segment,
        resolver.Lookup(options.name, nullptr, DeadlineOf(options)));
    Show(options, segment, out);
    return absl::OkStatus();
  }
  TE_ASSIGN_OR_RETURN(
      const std::unique_ptr<MetadataStore> store,
      OpenMetadataStore(options.metadata_server, DeadlineOf(options)));
  switch (options.command) {
    case SegmentCommand::kList:
      return List(options, *store, out);
    case SegmentCommand::kShow: {
      TE_ASSIGN_OR_RETURN(
          const SegmentSnapshot segment,
          Named(options.name, ReadStoredSegment(*store, options.name, nullptr,
                                                DeadlineOf(options))));
      Show(options, segment, out);
      return absl::OkStatus();
    }
    case SegmentCommand::kWatch:
      return Watch(options, *store, stop, out);
    case SegmentCommand::kDelete:
      return Delete(options, *store, out);
  }
  return absl::OkStatus();
}

}  // namespace te::tools
