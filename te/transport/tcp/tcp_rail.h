#ifndef TE_TRANSPORT_TCP_TCP_RAIL_H_
#define TE_TRANSPORT_TCP_TCP_RAIL_H_

#include <memory>
#include <string>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/functional/function_ref.h"
#include "absl/status/status.h"
#include "absl/types/span.h"
#include "te/base/mutex.h"
#include "te/base/unique_fd.h"
#include "te/transport/tcp/client_stream.h"
#include "te/transport/tcp/io_loop.h"
#include "te/transport/transport.h"

namespace te::tcp {

// All streams to one peer. They live and die together, since a slice that comes
// back from one may be sent again only when nothing of it can still arrive.
//
// Callers move the data of the first stream by themselves. The others exist to
// keep further processors busy, so their I/O threads do the copying, all but
// that of a small group on an idle stream: a caller who had to serve all
// streams would be as slow as with one.
class TcpRail final : public Rail {
 public:
  // `sockets` have said their Hello; each is served by one of `loops`, in turn
  // from the one of that number, which may be any.
  static absl::StatusOr<std::shared_ptr<TcpRail>> Create(
      const ClientStream::Options& options, std::vector<UniqueFd> sockets,
      absl::Span<const std::shared_ptr<IoLoop>> loops, size_t first_loop);
  ~TcpRail() override;

  void Post(absl::Span<Slice* const> slices) override;
  Progress Poll() override;
  void BeginPolling() override;
  void EndPolling() override;
  void Withdraw(absl::FunctionRef<bool(const Slice&)> matches,
                const absl::Status& status) override;
  void Close(const absl::Status& why) override;
  absl::Status health() const override;
  std::string name() const override { return name_; }

 private:
  explicit TcpRail(std::string name) : name_(std::move(name)) {}

  void Distribute(absl::Span<Slice* const> slices);
  ClientStream& LeastLoaded();
  // Idle, it is also the least loaded one: a request alone takes no hop.
  ClientStream& CallersStream() { return *streams_.front(); }
  void OnStreamBroken(const absl::Status& why);

  const std::string name_;
  // Fixed once Create has returned.
  std::vector<std::shared_ptr<ClientStream>> streams_;

  mutable Mutex mutex_;
  absl::Status health_ ABSL_GUARDED_BY(mutex_);
};

}  // namespace te::tcp

#endif  // TE_TRANSPORT_TCP_TCP_RAIL_H_
