#include "te/transport/tcp/tcp_rail.h"

#include <algorithm>
#include <utility>

#include "absl/strings/str_cat.h"
#include "te/base/status_macros.h"
#include "te/transport/tcp/socket.h"

namespace te::tcp {
namespace {

// Slices that go to the same stream: enough to be worth a system call.
constexpr uint64_t kRunBytes = 256 << 10;

}  // namespace

absl::StatusOr<std::shared_ptr<TcpRail>> TcpRail::Create(
    const ClientStream::Options& options, std::vector<UniqueFd> sockets,
    absl::Span<const std::shared_ptr<IoLoop>> loops, size_t first_loop) {
  std::shared_ptr<TcpRail> rail(new TcpRail(
      absl::StrCat(options.name, " (", DescribeSocket(sockets.front().get()),
                   sockets.size() > 1 ? " and more)" : ")")));
  for (size_t i = 0; i < sockets.size(); ++i) {
    ClientStream::Options stream_options = options;
    stream_options.name =
        absl::StrCat(options.name, " (", DescribeSocket(sockets[i].get()), ")");
    rail->streams_.push_back(std::make_shared<ClientStream>(
        std::move(stream_options), std::move(sockets[i]),
        loops[(first_loop + i) % loops.size()],
        [rail = rail.get()](const absl::Status& why) {
          rail->OnStreamBroken(why);
        }));
  }
  for (const auto& stream : rail->streams_) TE_RETURN_IF_ERROR(stream->Start());
  return rail;
}

TcpRail::~TcpRail() { Close(absl::CancelledError("the rail is gone")); }

void TcpRail::Post(absl::Span<Slice* const> slices) {
  Distribute(slices);
  // Only now: a caller that is about to poll would have to share a processor
  // with the loop's thread, woken for the first slice that was sent.
  for (const auto& stream : streams_) stream->Watch();
}

void TcpRail::Distribute(absl::Span<Slice* const> slices) {
  while (!slices.empty()) {
    uint64_t bytes = 0;
    size_t count = 0;
    while (count < slices.size() && (count == 0 || bytes < kRunBytes)) {
      bytes += slices[count++]->length;
    }
    if (streams_.size() == 1) count = slices.size();
    ClientStream& stream = LeastLoaded();
    const auto run = slices.subspan(0, count);
    const bool busy = bytes >= kRunBytes || stream.queued_bytes() > 0;
    if (busy && &stream != &CallersStream()) {
      // Its thread starts at once, beside this one.
      stream.Leave(run);
    } else {
      stream.Post(run);
    }
    slices.remove_prefix(count);
  }
}

ClientStream& TcpRail::LeastLoaded() {
  return **std::min_element(streams_.begin(), streams_.end(),
                            [](const auto& a, const auto& b) {
                              return a->queued_bytes() < b->queued_bytes();
                            });
}

Progress TcpRail::Poll() { return CallersStream().Poll(); }

void TcpRail::BeginPolling() { CallersStream().BeginPolling(); }

void TcpRail::EndPolling() { CallersStream().EndPolling(); }

void TcpRail::Withdraw(absl::FunctionRef<bool(const Slice&)> matches,
                       const absl::Status& status) {
  for (const auto& stream : streams_) stream->Withdraw(matches, status);
}

void TcpRail::Close(const absl::Status& why) {
  for (const auto& stream : streams_) stream->Close(why);
}

absl::Status TcpRail::health() const {
  MutexLock lock(mutex_);
  return health_;
}

void TcpRail::OnStreamBroken(const absl::Status& why) {
  {
    MutexLock lock(mutex_);
    if (!health_.ok()) return;
    health_ = absl::UnavailableError(
        absl::StrCat(name_, " has failed: ", why.message()));
  }
  for (const auto& stream : streams_) stream->Break(why);
}

}  // namespace te::tcp
