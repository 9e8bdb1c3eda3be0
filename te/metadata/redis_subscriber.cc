#include "te/metadata/redis_subscriber.h"

#include <poll.h>
#include <stdint.h>
#include <sys/eventfd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <climits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/status/status.h"
#include "absl/strings/numbers.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/strip.h"
#include "glog/logging.h"
#include "te/base/clock.h"
#include "te/base/errno_status.h"
#include "te/base/mutex.h"
#include "te/base/status_macros.h"
#include "te/base/thread.h"
#include "te/metadata/metadata_store.h"
#include "te/metadata/redis_connection.h"
#include "te/metadata/redis_value.h"

namespace te {
namespace {

constexpr absl::string_view kChannels = "te/changed/";
// Of these an access list must have the very same text.
constexpr absl::string_view kAllChannels = "te/changed/*";

constexpr absl::string_view kSubscribe = "subscribe";
constexpr absl::string_view kUnsubscribe = "unsubscribe";
constexpr absl::string_view kSubscribePattern = "psubscribe";
constexpr absl::string_view kUnsubscribePattern = "punsubscribe";
constexpr absl::string_view kPing = "ping";

// Commands that wait for their answers at a time.
constexpr size_t kMaxAsked = 1024;
// Replies between two looks at what else there is to do.
constexpr int kMaxReplies = 1000;

constexpr Duration kFirstPause = std::chrono::milliseconds(5);
constexpr Duration kLongestPause = std::chrono::milliseconds(500);

bool IsText(const redisReply& reply) {
  return reply.type == REDIS_REPLY_STRING;
}

// Of a message or an answer the name, which comes first; "" for what is
// neither.
absl::string_view NameOf(const redisReply& reply) {
  if (reply.type != REDIS_REPLY_ARRAY || reply.elements == 0) return "";
  const redisReply& name = *reply.element[0];
  return IsText(name) ? RedisText(name) : "";
}

absl::Status OutOfPlace() {
  return absl::DataLossError(
      "an answer that was not asked for; is it a Redis server?");
}

}  // namespace

std::string RedisChannelPrefix(int database) {
  return absl::StrCat(kChannels, database, "/");
}

absl::StatusOr<std::unique_ptr<RedisSubscriber>> RedisSubscriber::Create(
    const RedisAddress& address, const RedisSubscriberOptions& options) {
  UniqueFd stop(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  UniqueFd changed(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!stop.valid() || !changed.valid()) {
    return ErrnoToStatus(errno, "cannot make an eventfd");
  }
  return std::unique_ptr<RedisSubscriber>(new RedisSubscriber(
      address, options, std::move(stop), std::move(changed)));
}

RedisSubscriber::RedisSubscriber(const RedisAddress& address,
                                 const RedisSubscriberOptions& options,
                                 UniqueFd stop, UniqueFd changed)
    : address_(address),
      options_(options),
      channel_prefix_(RedisChannelPrefix(address.database)),
      stop_(std::move(stop)),
      changed_(std::move(changed)),
      hub_({.max_watches = options.max_watches,
            .on_scope = [this](const WatchScope& scope, bool added) {
              ScopeChanged(scope, added);
            }}) {}

RedisSubscriber::~RedisSubscriber() {
  PCHECK(eventfd_write(stop_.get(), 1) == 0);
  MutexLock lock(starting_);
  thread_.Join();
}

absl::StatusOr<std::unique_ptr<StoreWatch>> RedisSubscriber::Watch(
    const WatchScope& scope, WatchCallback on_event) {
  TE_ASSIGN_OR_RETURN(std::unique_ptr<StoreWatch> watch,
                      hub_.Add(scope, std::move(on_event)));
  TE_RETURN_IF_ERROR(StartOnce());
  return watch;
}

absl::Status RedisSubscriber::StartOnce() {
  MutexLock lock(starting_);
  if (thread_.joinable()) return absl::OkStatus();
  TE_ASSIGN_OR_RETURN(thread_,
                      Thread::Start({.name = "te-watch"}, [this] { Run(); }));
  return absl::OkStatus();
}

void RedisSubscriber::ScopeChanged(const WatchScope& scope, bool added) {
  MutexLock lock(mutex_);
  const bool idle = changes_.empty();
  if (connected_ || added) {
    changes_[scope] = added;
  } else {
    changes_.erase(scope);
  }
  if (changes_.size() > 2 * options_.max_watches + kMaxAsked) {
    too_many_ = true;
    changes_.clear();
  }
  if (idle || too_many_) eventfd_write(changed_.get(), 1);
}

void RedisSubscriber::Run() {
  Duration pause = kFirstPause;
  for (;;) {
    const MonotonicTime begin = RealClock().Now();
    const absl::Status why = Serve();
    if (absl::IsCancelled(why)) return;
    EndSession(why);
    const MonotonicTime end = RealClock().Now();
    if (end - begin > kLongestPause) pause = kFirstPause;
    if (!Await(DeadlineAfter(end, pause), -1)) return;
    pause = std::min(2 * pause, kLongestPause);
  }
}

// Connects, and goes on until the connection is lost.
absl::Status RedisSubscriber::Serve() {
  TE_ASSIGN_OR_RETURN(
      connection_,
      RedisConnection::Open(address_,
                            DeadlineAfter(RealClock().Now(), options_.patience),
                            stop_.get()));
  BeginSession();
  for (;;) {
    const absl::Status status = Step();
    if (status.ok()) continue;
    return absl::Status(
        status.code(), absl::StrCat(address_.ToString(), ": ", status.message(),
                                    "; te connects again"));
  }
}

absl::Status RedisSubscriber::Step() {
  TE_RETURN_IF_ERROR(SendChanges());
  if (!Await(NextDue(), connection_->fd())) return absl::CancelledError();
  TE_RETURN_IF_ERROR(ReceiveSome());
  return DoWhatIsDue();
}

void RedisSubscriber::BeginSession() {
  asked_.clear();
  prefixes_.clear();
  refused_.clear();
  retry_at_ = kNoDeadline;
  heard_ = RealClock().Now();
  more_ = false;
  outage_told_ = false;
  last_ = {};
  {
    MutexLock lock(mutex_);
    changes_.clear();
    too_many_ = false;
    connected_ = true;
  }
  const std::vector<WatchScope> scopes = hub_.Scopes();
  MutexLock lock(mutex_);
  // What has changed meanwhile is newer.
  for (const WatchScope& scope : scopes) changes_.try_emplace(scope, true);
}

// During an outage only watches that are new are told of it.
void RedisSubscriber::EndSession(const absl::Status& why) {
  connection_.reset();
  std::vector<WatchScope> added;
  {
    MutexLock lock(mutex_);
    connected_ = false;
    for (const auto& [scope, is_added] : changes_) {
      if (is_added) added.push_back(scope);
    }
    changes_.clear();
  }
  if (outage_told_) {
    for (const WatchScope& scope : added) hub_.Break(scope, why);
  } else {
    hub_.BreakAll(why);
  }
  outage_told_ = true;
}

absl::Status RedisSubscriber::SendChanges() {
  std::vector<Asked> asked;
  {
    MutexLock lock(mutex_);
    if (too_many_) {
      return absl::UnavailableError(
          "watches came and went faster than the server took them");
    }
    for (auto change = changes_.begin();
         change != changes_.end() && asked_.size() + asked.size() < kMaxAsked;
         changes_.erase(change++)) {
      Asked command = CommandFor(change->first, change->second);
      if (!command.command.empty()) asked.push_back(std::move(command));
    }
  }
  return Ask(std::move(asked));
}

RedisSubscriber::Asked RedisSubscriber::CommandFor(const WatchScope& scope,
                                                   bool added) {
  if (!added) refused_.erase(scope);
  if (!scope.prefix) {
    return {.command = added ? kSubscribe : kUnsubscribe,
            .channel = absl::StrCat(channel_prefix_, scope.key),
            .scope = scope};
  }
  // Subscribing once more does nothing but tell from when on it holds.
  Asked asked = {.channel = std::string(kAllChannels), .scope = scope};
  if (added) {
    prefixes_.insert(scope);
    asked.command = kSubscribePattern;
  } else {
    prefixes_.erase(scope);
    if (prefixes_.empty()) asked.command = kUnsubscribePattern;
  }
  return asked;
}

absl::Status RedisSubscriber::Ask(std::vector<Asked> asked) {
  if (asked.empty()) return absl::OkStatus();
  std::vector<RedisCommand> commands;
  commands.reserve(asked.size());
  for (const Asked& one : asked) {
    RedisCommand& command = commands.emplace_back();
    command.push_back(one.command);
    if (!one.channel.empty()) command.push_back(one.channel);
  }
  const MonotonicTime now = RealClock().Now();
  TE_RETURN_IF_ERROR(
      connection_->Send(commands, DeadlineAfter(now, options_.patience)));
  if (asked_.empty()) asked_since_ = now;
  std::move(asked.begin(), asked.end(), std::back_inserter(asked_));
  return absl::OkStatus();
}

bool RedisSubscriber::Await(MonotonicTime until, int socket) {
  const Duration left = TimeUntil(until, RealClock().Now());
  const auto timeout = std::min<int64_t>(
      std::chrono::ceil<std::chrono::milliseconds>(left).count(), INT_MAX);
  // Without a connection there is nothing to do about changes.
  pollfd pollers[] = {
      {.fd = stop_.get(), .events = POLLIN, .revents = 0},
      {.fd = socket, .events = POLLIN, .revents = 0},
      {.fd = socket < 0 ? -1 : changed_.get(), .events = POLLIN, .revents = 0}};
  PCHECK(poll(pollers, 3, static_cast<int>(timeout)) >= 0 || errno == EINTR);
  if (pollers[2].revents != 0) {
    eventfd_t ignored;
    eventfd_read(changed_.get(), &ignored);
  }
  return pollers[0].revents == 0;
}

MonotonicTime RedisSubscriber::NextDue() const {
  if (more_) return MonotonicTime::min();
  return std::min(retry_at_,
                  asked_.empty()
                      ? DeadlineAfter(heard_, options_.silence)
                      : DeadlineAfter(asked_since_, options_.patience));
}

absl::Status RedisSubscriber::DoWhatIsDue() {
  const MonotonicTime now = RealClock().Now();
  if (now >= retry_at_) {
    retry_at_ = kNoDeadline;
    MutexLock lock(mutex_);
    // Those that are not wanted any more are on their way.
    for (const WatchScope& scope : refused_) changes_.try_emplace(scope, true);
    refused_.clear();
  }
  if (!asked_.empty()) {
    if (now < DeadlineAfter(asked_since_, options_.patience)) {
      return absl::OkStatus();
    }
    return absl::UnavailableError("no answer in time");
  }
  if (now < DeadlineAfter(heard_, options_.silence)) return absl::OkStatus();
  return Ask({{.command = kPing}});
}

absl::Status RedisSubscriber::ReceiveSome() {
  for (int i = 0; i < kMaxReplies; ++i) {
    TE_ASSIGN_OR_RETURN(const RedisReply reply, connection_->TryReceive());
    more_ = reply != nullptr;
    if (!more_) break;
    heard_ = RealClock().Now();
    TE_RETURN_IF_ERROR(Take(*reply));
  }
  return absl::OkStatus();
}

absl::Status RedisSubscriber::Take(const redisReply& reply) {
  // Both end with channel and message.
  const absl::string_view name = NameOf(reply);
  const size_t elements = name == "message" ? 3 : name == "pmessage" ? 4 : 0;
  if (elements == 0) return TakeAnswer(reply);
  if (reply.elements != elements || !IsText(*reply.element[elements - 2]) ||
      !IsText(*reply.element[elements - 1])) {
    return OutOfPlace();
  }
  TakeMessage(RedisText(*reply.element[elements - 2]),
              RedisText(*reply.element[elements - 1]));
  return absl::OkStatus();
}

// Ignores what others say in our channels, and what is of other databases.
void RedisSubscriber::TakeMessage(absl::string_view channel,
                                  absl::string_view version) {
  std::pair<std::string, uint64_t> change;
  if (!absl::ConsumePrefix(&channel, channel_prefix_) || channel.empty() ||
      channel.size() > MetadataStore::kMaxKeyBytes ||
      !absl::SimpleAtoi(version, &change.second)) {
    return;
  }
  change.first = std::string(channel);
  if (change == last_) return;
  last_ = std::move(change);
  hub_.Change(last_.first, last_.second);
}

absl::Status RedisSubscriber::TakeAnswer(const redisReply& reply) {
  if (asked_.empty()) return OutOfPlace();
  const Asked asked = std::move(asked_.front());
  asked_.pop_front();
  asked_since_ = RealClock().Now();
  const bool subscribes =
      asked.command == kSubscribe || asked.command == kSubscribePattern;
  if (reply.type == REDIS_REPLY_ERROR) {
    // Of the other commands it is a sign of life.
    if (!subscribes) return absl::OkStatus();
    // One that ends from now on is in changes_, and CommandFor forgets it.
    if (!hub_.Has(asked.scope)) return absl::OkStatus();
    const absl::Status status = RedisErrorStatus(reply);
    refused_.insert(asked.scope);
    retry_at_ =
        std::min(retry_at_, DeadlineAfter(asked_since_, options_.retry));
    hub_.Break(
        asked.scope,
        absl::Status(
            status.code(),
            absl::StrCat(DescribeKey(asked.scope.key), " cannot be watched at ",
                         address_.ToString(), ": ", status.message())));
    return absl::OkStatus();
  }
  if (asked.command == kPing) {
    // Without subscriptions the answer is the usual one.
    if (NameOf(reply) == "pong") return absl::OkStatus();
    return reply.type == REDIS_REPLY_STATUS ? absl::OkStatus() : OutOfPlace();
  }
  if (NameOf(reply) != asked.command || reply.elements != 3 ||
      !IsText(*reply.element[1]) ||
      RedisText(*reply.element[1]) != asked.channel) {
    return OutOfPlace();
  }
  if (subscribes) hub_.Begin(asked.scope);
  return absl::OkStatus();
}

}  // namespace te
