#include "te/metadata/metadata_watch_stream.h"

#include <stddef.h>
#include <stdint.h>

#include <map>
#include <memory>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/status.h"
#include "te/base/clock.h"
#include "te/base/mutex.h"
#include "te/base/status_macros.h"
#include "te/grpc/status_conversion.h"
#include "te/metadata/metadata_access.h"
#include "te/metadata/metadata_service.pb.h"
#include "te/metadata/metadata_store.h"
#include "te/metadata/watch_queue.h"

namespace te {
namespace {

// A client that asks for more than there may be, and does not read that it is
// refused, is not listened to any more.
constexpr size_t kMaxRefusals = 256;

}  // namespace

MetadataWatchStream::MetadataWatchStream(MetadataStore& store, Host& host,
                                         grpc::CallbackServerContext& context)
    : store_(store), host_(host), context_(context), peer_(context.peer()) {}

void MetadataWatchStream::Report(const std::string& key,
                                 const absl::Status& status,
                                 Duration duration) {
  host_.Report({.method = "Watch",
                .key = key,
                .peer = peer_,
                .status = status,
                .duration = duration});
}

bool MetadataWatchStream::NeedsWrite() {
  if (ended_ || writing_ || announced_) return false;
  announced_ = true;
  return true;
}

bool MetadataWatchStream::MayRead() {
  held_up_ = queue_.refusals() >= kMaxRefusals;
  return !held_up_;
}

void MetadataWatchStream::Write() {
  {
    MutexLock lock(mutex_);
    announced_ = false;
  }
  WriteNext();
}

void MetadataWatchStream::WriteNext() {
  {
    MutexLock lock(mutex_);
    if (ended_ || writing_ || !queue_.Take(response_)) return;
    writing_ = true;
  }
  // There is no end before OnWriteDone.
  StartWrite(&response_);
}

void MetadataWatchStream::OnWriteDone(bool ok) {
  bool ended = false;
  absl::Status status;
  bool read = false;
  {
    MutexLock lock(mutex_);
    writing_ = false;
    ended = ended_;
    status = status_;
    if (ok && !ended && held_up_) read = MayRead();
  }
  // End has left this to be done.
  if (ended) return Finish(ToGrpcStatus(status));
  if (!ok) return End(absl::CancelledError("the client is gone"));
  WriteNext();
  if (read) StartRead(&request_);
}

void MetadataWatchStream::OnReadDone(bool ok) {
  // The client will ask for nothing more; it should not be told more either.
  if (!ok) return End(absl::OkStatus());
  const absl::Status status = Handle();
  if (!status.ok()) return End(status);
  {
    MutexLock lock(mutex_);
    if (ended_ || !MayRead()) return;
  }
  StartRead(&request_);
}

void MetadataWatchStream::OnDone() {
  // The other callbacks have returned. gRPC's locks say so too, but not to
  // ThreadSanitizer.
  { MutexLock lock(mutex_); }
  host_.Done(*this);
}

void MetadataWatchStream::End(const absl::Status& status) {
  std::map<uint64_t, Watch> watches;
  bool finish = false;
  {
    MutexLock lock(mutex_);
    if (ended_) return;
    ended_ = true;
    status_ = status;
    watches.swap(watches_);
    finish = !writing_;
  }
  for (auto& [id, watch] : watches) Close(std::move(watch));
  if (finish) Finish(ToGrpcStatus(status));
}

void MetadataWatchStream::EndNow(const absl::Status& status) {
  End(status);
  // A message that the client does not read would stay under way for ever.
  // Within the lock, without which OnWriteDone does not end the context.
  MutexLock lock(mutex_);
  if (writing_) context_.TryCancel();
}

void MetadataWatchStream::Close(Watch watch) {
  // Null: BeginWatch does the rest.
  if (watch.watch == nullptr) return;
  watch.watch.reset();
  host_.Release();
  Report(watch.key, absl::OkStatus(), RealClock().Now() - watch.begin);
}

absl::Status MetadataWatchStream::Handle() {
  using Request = metadata::v1::WatchRequest;
  const uint64_t id = request_.id();
  switch (request_.what_case()) {
    case Request::kBegin:
      if (id <= last_id_) {
        return absl::InvalidArgumentError(
            absl::StrCat("a watch is to begin as ", id, " after one that was ",
                         last_id_, "; number them upwards from 1"));
      }
      last_id_ = id;
      BeginWatch(id, {.key = request_.begin().key(),
                      .prefix = request_.begin().prefix()});
      return absl::OkStatus();
    case Request::kEnd:
      if (id > last_id_) {
        return absl::InvalidArgumentError(
            absl::StrCat("watch ", id, " is to end, and has never begun"));
      }
      EndWatch(id);
      return absl::OkStatus();
    default:
      return absl::InvalidArgumentError(
          "a request neither begins a watch nor ends one; is the client newer "
          "than this server?");
  }
}

absl::StatusOr<std::unique_ptr<StoreWatch>> MetadataWatchStream::Ask(
    uint64_t id, const WatchScope& scope) {
  TE_RETURN_IF_ERROR(ValidateScope(scope));
  TE_RETURN_IF_ERROR(host_.Reserve());
  const auto on_event = [this, id,
                         prefix = scope.prefix](const WatchEvent& event) {
    {
      MutexLock lock(mutex_);
      if (ended_ || !watches_.contains(id)) return;
      queue_.Push(id, event, prefix ? event.key : "");
      if (!NeedsWrite()) return;
    }
    host_.Ready(shared_from_this());
  };
  absl::StatusOr<std::unique_ptr<StoreWatch>> watch =
      store_.Watch(scope, on_event);
  if (!watch.ok()) host_.Release();
  return watch;
}

void MetadataWatchStream::BeginWatch(uint64_t id, const WatchScope& scope) {
  const MonotonicTime begin = RealClock().Now();
  {
    MutexLock lock(mutex_);
    if (ended_) return;
    watches_[id] = {.key = scope.key, .begin = begin};
  }
  // Without the lock, which its callbacks take.
  absl::StatusOr<std::unique_ptr<StoreWatch>> watch = Ask(id, scope);
  Report(scope.key, watch.status(), RealClock().Now() - begin);
  bool write = false;
  {
    MutexLock lock(mutex_);
    const auto entry = watches_.find(id);
    if (entry != watches_.end() && watch.ok()) {
      entry->second.watch = *std::move(watch);
      return;
    }
    // Otherwise the stream has ended meanwhile.
    if (entry != watches_.end()) {
      watches_.erase(entry);
      queue_.Refuse(id, watch.status());
      write = NeedsWrite();
    }
  }
  if (watch.ok()) {
    Close({.key = scope.key, .begin = begin, .watch = *std::move(watch)});
  }
  if (write) host_.Ready(shared_from_this());
}

void MetadataWatchStream::EndWatch(uint64_t id) {
  Watch watch;
  {
    MutexLock lock(mutex_);
    queue_.Remove(id);
    const auto found = watches_.find(id);
    if (found == watches_.end()) return;
    watch = std::move(found->second);
    watches_.erase(found);
  }
  Close(std::move(watch));
}

}  // namespace te
