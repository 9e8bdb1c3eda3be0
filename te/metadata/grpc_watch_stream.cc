#include "te/metadata/grpc_watch_stream.h"

#include <stdint.h>

#include <algorithm>
#include <chrono>
#include <memory>
#include <optional>
#include <string>
#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/match.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "grpcpp/channel.h"
#include "grpcpp/support/status.h"
#include "te/base/clock.h"
#include "te/base/mutex.h"
#include "te/base/status_macros.h"
#include "te/grpc/status_conversion.h"
#include "te/metadata/metadata_service.grpc.pb.h"
#include "te/metadata/metadata_service.pb.h"
#include "te/metadata/metadata_store.h"
#include "te/metadata/watch_hub.h"

namespace te {
namespace {

// Before what the server has refused is asked for again: it is full, perhaps
// for long.
constexpr Duration kFirstRetry = std::chrono::milliseconds(100);
constexpr Duration kLastRetry = std::chrono::seconds(30);

}  // namespace

GrpcWatchStream::GrpcWatchStream(absl::string_view server,
                                 const std::shared_ptr<grpc::Channel>& channel,
                                 WatchHub& hub)
    : server_(server),
      stub_(metadata::v1::Metadata::NewStub(channel)),
      hub_(hub),
      retry_pause_(kFirstRetry) {}

void GrpcWatchStream::BeginLocked(const WatchScope& scope) {
  const uint64_t id = ++last_id_;
  ids_[scope] = id;
  scopes_[id] = scope;
  requests_[id] = scope;
}

void GrpcWatchStream::EndLocked(const WatchScope& scope) {
  const auto found = ids_.find(scope);
  if (found == ids_.end()) return;
  const uint64_t id = found->second;
  ids_.erase(found);
  scopes_.erase(id);
  refused_.erase(id);
  // Neither begins nor ends if its begin has not been sent.
  if (requests_.erase(id) == 0) requests_[id] = std::nullopt;
}

void GrpcWatchStream::Begin(const WatchScope& scope) {
  MutexLock lock(mutex_);
  BeginLocked(scope);
  changed_.NotifyAll();
}

void GrpcWatchStream::End(const WatchScope& scope) {
  MutexLock lock(mutex_);
  EndLocked(scope);
  changed_.NotifyAll();
}

void GrpcWatchStream::RetryRefused() {
  if (RealClock().Now() < retry_) return;
  retry_ = kNoDeadline;
  for (const uint64_t id : std::exchange(refused_, {})) {
    const auto found = scopes_.find(id);
    const WatchScope scope = found->second;
    scopes_.erase(found);
    BeginLocked(scope);
  }
}

bool GrpcWatchStream::TakeRequest() {
  if (writing_ || read_ended_ || requests_.empty()) return false;
  const auto first = requests_.begin();
  request_.Clear();
  request_.set_id(first->first);
  if (first->second.has_value()) {
    request_.mutable_begin()->set_key(first->second->key);
    request_.mutable_begin()->set_prefix(first->second->prefix);
  } else {
    request_.mutable_end();
  }
  requests_.erase(first);
  writing_ = true;
  return true;
}

absl::Status GrpcWatchStream::Run() {
  stub_->async()->Watch(&context_, this);
  // Writes begin outside of the callbacks, until there is no more to read.
  AddHold();
  StartRead(&response_);
  StartCall();
  for (;;) {
    {
      MutexLock lock(mutex_);
      RetryRefused();
      while (!done_ && !TakeRequest()) {
        changed_.WaitUntil(mutex_, retry_);
        RetryRefused();
      }
      if (done_) return status_;
    }
    StartWrite(&request_);
  }
}

void GrpcWatchStream::Cancel() { context_.TryCancel(); }

bool GrpcWatchStream::answered() const {
  MutexLock lock(mutex_);
  return answered_;
}

void GrpcWatchStream::OnWriteDone(bool ok) {
  bool release = false;
  bool again = false;
  {
    MutexLock lock(mutex_);
    writing_ = false;
    release = read_ended_;
    again = ok && TakeRequest();
    // After a failure there is an end to reading, too.
    if (!ok) requests_.clear();
  }
  if (again) StartWrite(&request_);
  if (release) RemoveHold();
}

void GrpcWatchStream::OnReadDone(bool ok) {
  if (ok) {
    const absl::Status status = Handle();
    {
      MutexLock lock(mutex_);
      answered_ = true;
      status_.Update(status);
    }
    if (!status.ok()) context_.TryCancel();
    StartRead(&response_);
    return;
  }
  {
    MutexLock lock(mutex_);
    read_ended_ = true;
    if (writing_) return;  // OnWriteDone does the rest
  }
  RemoveHold();
}

void GrpcWatchStream::OnDone(const grpc::Status& status) {
  MutexLock lock(mutex_);
  const absl::Status told = FromGrpcStatus(status, server_);
  // A server that stops cancels what it cannot end in good order.
  if (!told.ok() && !absl::IsCancelled(told)) status_.Update(told);
  status_.Update(absl::UnavailableError(absl::StrCat(
      server_, " has ended its watches without a reason: ", told.message())));
  done_ = true;
  // Within the lock: Run's caller destroys this.
  changed_.NotifyAll();
}

absl::Status GrpcWatchStream::Wrong(absl::string_view what) const {
  return absl::DataLossError(absl::StrCat(server_, " tells ", what,
                                          "; is it of a compatible version?"));
}

absl::StatusOr<std::optional<WatchScope>> GrpcWatchStream::ScopeOf(
    uint64_t id) const {
  MutexLock lock(mutex_);
  if (id == 0 || id > last_id_) return Wrong("of a watch that does not exist");
  const auto found = scopes_.find(id);
  if (found == scopes_.end()) return std::nullopt;
  return found->second;
}

absl::Status GrpcWatchStream::Handle() {
  TE_ASSIGN_OR_RETURN(const std::optional<WatchScope> scope,
                      ScopeOf(response_.id()));
  if (!scope.has_value()) return absl::OkStatus();
  return HandleEvent(*scope);
}

// Calls the hub without the lock, which is taken with the hub's held.
absl::Status GrpcWatchStream::HandleEvent(const WatchScope& scope) {
  using Response = metadata::v1::WatchResponse;
  switch (response_.event_case()) {
    case Response::kBegun:
      hub_.Begin(scope);
      return absl::OkStatus();
    case Response::kChanged: {
      const std::string& key = response_.changed().key();
      if (!scope.prefix && key.empty()) {
        hub_.Change(scope.key, response_.changed().version());
        return absl::OkStatus();
      }
      const bool within =
          scope.prefix ? absl::StartsWith(key, scope.key) : key == scope.key;
      if (!within || key.size() > MetadataStore::kMaxKeyBytes) {
        return Wrong("of a key that is not watched");
      }
      hub_.Change(key, response_.changed().version());
      return absl::OkStatus();
    }
    case Response::kBroken:
      return HandleBroken(scope);
    default:
      return Wrong("an unknown event");
  }
}

absl::Status GrpcWatchStream::HandleBroken(const WatchScope& scope) {
  const metadata::v1::WatchResponse::Broken& broken = response_.broken();
  const grpc::StatusCode code = ToGrpcCode(broken.code());
  if (code == grpc::StatusCode::OK) return Wrong("a failure without an error");
  const absl::Status status =
      FromGrpcStatus(grpc::Status(code, broken.message()), server_);
  if (broken.refused()) {
    MutexLock lock(mutex_);
    // It may have ended since ScopeOf has looked.
    const bool wanted = scopes_.contains(response_.id());
    if (wanted) refused_.insert(response_.id());
    if (wanted && retry_ == kNoDeadline) {
      retry_ = RealClock().Now() + retry_pause_;
      retry_pause_ = std::min(2 * retry_pause_, kLastRetry);
      changed_.NotifyAll();
    }
  }
  hub_.Break(scope, status);
  return absl::OkStatus();
}

}  // namespace te
