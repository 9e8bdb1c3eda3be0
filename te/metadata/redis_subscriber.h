#ifndef TE_METADATA_REDIS_SUBSCRIBER_H_
#define TE_METADATA_REDIS_SUBSCRIBER_H_

#include <stddef.h>
#include <stdint.h>

#include <chrono>
#include <deque>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/container/flat_hash_map.h"
#include "absl/container/flat_hash_set.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/string_view.h"
#include "hiredis/hiredis.h"
#include "te/base/clock.h"
#include "te/base/mutex.h"
#include "te/base/thread.h"
#include "te/base/unique_fd.h"
#include "te/metadata/metadata_store.h"
#include "te/metadata/redis_address.h"
#include "te/metadata/redis_connection.h"
#include "te/metadata/watch_hub.h"

namespace te {

// Where the changes of a key are published, without the key. Channels do not
// belong to a database, so its number is in their names.
std::string RedisChannelPrefix(int database);

struct RedisSubscriberOptions {
  // One more is refused with RESOURCE_EXHAUSTED.
  size_t max_watches = 65536;
  // A server that has said nothing for so long is asked for a sign of life.
  Duration silence = std::chrono::seconds(10);
  // A connection, and every answer, is given up after so long.
  Duration patience = std::chrono::seconds(5);
  // What the server has refused is asked for again after so long.
  Duration retry = std::chrono::seconds(10);
};

// The watches of a Redis server's keys. Its thread, `te-watch`, which the first
// watch starts, holds one connection, subscribes to what is watched, and makes
// the connection anew when it is lost or silent.
//
// A key has a channel of its own. Prefixes share one subscription to all
// channels: an access list of Redis allows patterns only as it spells them
// itself, so one for each prefix would have to be granted by name.
//
// Thread-safe. Destroying it ends the thread at once, except while the system
// looks a host name up, and for `patience` at most. Watches end before.
class RedisSubscriber {
 public:
  static absl::StatusOr<std::unique_ptr<RedisSubscriber>> Create(
      const RedisAddress& address, const RedisSubscriberOptions& options);
  ~RedisSubscriber();

  // As MetadataStore::Watch.
  absl::StatusOr<std::unique_ptr<StoreWatch>> Watch(const WatchScope& scope,
                                                    WatchCallback on_event);

 private:
  // A command that the server has not answered yet.
  struct Asked {
    // In lower case, as the server repeats it.
    absl::string_view command;
    std::string channel;
    WatchScope scope;
  };

  RedisSubscriber(const RedisAddress& address,
                  const RedisSubscriberOptions& options, UniqueFd stop,
                  UniqueFd changed);

  absl::Status StartOnce();
  // The hub's on_scope.
  void ScopeChanged(const WatchScope& scope, bool added);

  // The rest is the thread's.
  void Run();
  absl::Status Serve();
  absl::Status Step();
  void BeginSession();
  void EndSession(const absl::Status& why);
  absl::Status SendChanges();
  // What to ask for one; no command if nothing needs to be.
  Asked CommandFor(const WatchScope& scope, bool added);
  absl::Status Ask(std::vector<Asked> asked);
  // False when it is time to end.
  bool Await(MonotonicTime until, int socket);
  MonotonicTime NextDue() const;
  absl::Status DoWhatIsDue();
  absl::Status ReceiveSome();
  absl::Status Take(const redisReply& reply);
  absl::Status TakeAnswer(const redisReply& reply);
  void TakeMessage(absl::string_view channel, absl::string_view version);

  const RedisAddress address_;
  const RedisSubscriberOptions options_;
  const std::string channel_prefix_;
  // Is never read, so that every wait ends.
  const UniqueFd stop_;
  const UniqueFd changed_;

  Mutex mutex_;
  // Scopes to subscribe to (true) or not to any more, since the thread looked.
  // Taken with the hub's lock held, so that is never taken with this one.
  absl::flat_hash_map<WatchScope, bool> changes_ ABSL_GUARDED_BY(mutex_);
  // There were more of them than it keeps: look at all scopes instead.
  bool too_many_ ABSL_GUARDED_BY(mutex_) = false;
  bool connected_ ABSL_GUARDED_BY(mutex_) = false;

  // The thread's own.
  std::unique_ptr<RedisConnection> connection_;
  std::deque<Asked> asked_;
  // When the first of them was sent, or became the first.
  MonotonicTime asked_since_;
  MonotonicTime heard_;
  // Those that share the subscription to all channels.
  absl::flat_hash_set<WatchScope> prefixes_;
  absl::flat_hash_set<WatchScope> refused_;
  MonotonicTime retry_at_ = kNoDeadline;
  // Whether there may be more replies that poll does not show.
  bool more_ = false;
  bool outage_told_ = false;
  // The last change told. A change comes once for each subscription that it
  // fits, all in a row.
  std::pair<std::string, uint64_t> last_;

  WatchHub hub_;
  Mutex starting_;
  Thread thread_ ABSL_GUARDED_BY(starting_);
};

}  // namespace te

#endif  // TE_METADATA_REDIS_SUBSCRIBER_H_
