#include "te/metadata/metadata_watches.h"

#include <memory>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "glog/logging.h"
#include "grpcpp/server_context.h"
#include "te/base/clock.h"
#include "te/base/mutex.h"
#include "te/base/status_macros.h"
#include "te/base/thread.h"
#include "te/metadata/metadata_access.h"
#include "te/metadata/metadata_watch_stream.h"

namespace te {
namespace {

absl::Status Stopping() {
  return absl::UnavailableError("the metadata server stops");
}

}  // namespace

MetadataWatches::MetadataWatches(MetadataStore& store,
                                 MetadataWatchesOptions options)
    : store_(store), options_(std::move(options)) {
  // So that ThreadSanitizer, which does not see how gRPC hands on a call, knows
  // that this comes before Add, on a thread that is older.
  MutexLock lock(mutex_);
}

MetadataWatches::~MetadataWatches() {
  Thread thread;
  {
    MutexLock lock(mutex_);
    CHECK(streams_.empty()) << "a server outlives the watches of its clients";
    stopped_ = true;
    changed_.NotifyAll();
    thread = std::move(thread_);
  }
  thread.Join();
}

absl::Status MetadataWatches::Admit() {
  if (ended_) return Stopping();
  if (streams_.size() >= options_.max_streams) {
    return absl::ResourceExhaustedError(
        absl::StrCat("there are ", streams_.size(),
                     " clients that watch, which is the server's limit"));
  }
  if (thread_.joinable()) return absl::OkStatus();
  TE_ASSIGN_OR_RETURN(
      thread_, Thread::Start({.name = "te-watch"}, [this] { WriteAll(); }));
  return absl::OkStatus();
}

MetadataWatchStream* MetadataWatches::Add(
    grpc::CallbackServerContext& context) {
  const auto stream = std::make_shared<MetadataWatchStream>(
      store_, static_cast<MetadataWatchStream::Host&>(*this), context);
  absl::Status admitted;
  {
    MutexLock lock(mutex_);
    admitted = Admit();
    streams_.emplace(stream.get(), stream);
  }
  if (admitted.ok()) {
    stream->Start();
  } else {
    stream->End(admitted);
  }
  return stream.get();
}

void MetadataWatches::EndAll() {
  std::vector<std::shared_ptr<MetadataWatchStream>> streams;
  {
    MutexLock lock(mutex_);
    ended_ = true;
    for (const auto& [key, stream] : streams_) streams.push_back(stream);
  }
  for (const auto& stream : streams) stream->EndNow(Stopping());
}

absl::Status MetadataWatches::Reserve() {
  MutexLock lock(mutex_);
  if (watches_ >= options_.max_watches) {
    return absl::ResourceExhaustedError(
        absl::StrCat("the server's clients have ", watches_,
                     " watches already, which is its limit"));
  }
  ++watches_;
  return absl::OkStatus();
}

void MetadataWatches::Release() {
  MutexLock lock(mutex_);
  --watches_;
}

void MetadataWatches::Ready(std::shared_ptr<MetadataWatchStream> stream) {
  MutexLock lock(mutex_);
  ready_.push_back(std::move(stream));
  changed_.NotifyOne();
}

void MetadataWatches::Report(const MetadataAccess& access) {
  if (options_.on_access) options_.on_access(access);
}

void MetadataWatches::Done(MetadataWatchStream& stream) {
  std::shared_ptr<MetadataWatchStream> owned;  // goes without the lock
  MutexLock lock(mutex_);
  const auto found = streams_.find(&stream);
  owned = std::move(found->second);
  streams_.erase(found);
}

void MetadataWatches::WriteAll() {
  std::vector<std::shared_ptr<MetadataWatchStream>> ready;
  for (;;) {
    {
      MutexLock lock(mutex_);
      while (ready_.empty() && !stopped_) {
        changed_.WaitUntil(mutex_, kNoDeadline);
      }
      if (stopped_) return;
      ready.swap(ready_);
    }
    for (const auto& stream : ready) stream->Write();
    ready.clear();
  }
}

}  // namespace te
