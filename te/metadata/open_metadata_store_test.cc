#include "te/metadata/open_metadata_store.h"

#include <chrono>
#include <memory>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/host_port.h"
#include "te/base/status_matchers.h"
#include "te/metadata/metadata_store.h"
#include "te/metadata/redis_server_process.h"

namespace te {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

TEST(OpenMetadataStoreTest, ARedisStoreHasTheWatchesThatItIsGiven) {
  const RedisServerProcess server;
  TE_ASSERT_OK_AND_ASSIGN(
      const std::unique_ptr<MetadataStore> store,
      OpenMetadataStore(absl::StrCat("unix://", server.unix_socket().unix_path),
                        RealClock().Now() + std::chrono::seconds(60),
                        {.max_watches = 1}));
  const auto ignore = [](const WatchEvent&) {};
  TE_ASSERT_OK_AND_ASSIGN(const auto watch, store->Watch({.key = "a"}, ignore));
  EXPECT_THAT(store->Watch({.key = "b"}, ignore).status(),
              StatusIs(absl::StatusCode::kResourceExhausted));
}

TEST(OpenMetadataStoreTest, ListsTheServersOfAnAddress) {
  const auto hosts = [](absl::string_view uri) {
    std::vector<std::string> texts;
    const absl::StatusOr<std::vector<HostPort>> servers = MetadataServers(uri);
    TE_EXPECT_OK(servers) << uri;
    for (const HostPort& server : servers.value_or(std::vector<HostPort>{})) {
      texts.push_back(server.ToString());
    }
    return texts;
  };
  EXPECT_THAT(hosts("redis://user:secret@db7/3"), ElementsAre("db7:6379"));
  EXPECT_THAT(hosts("redis://[fd00::1]:80"), ElementsAre("[fd00::1]:80"));
  EXPECT_THAT(hosts("unix:///run/redis.sock"), IsEmpty());
  EXPECT_THAT(hosts("grpc://db7:80,10.0.0.5:81"),
              ElementsAre("db7:80", "10.0.0.5:81"));
  EXPECT_THAT(hosts("grpcs://db7:80?ca=/ca.pem"), ElementsAre("db7:80"));
  for (const char* uri : {"", "p2p", "http://db7", "grpc://db7"}) {
    EXPECT_THAT(MetadataServers(uri).status(),
                StatusIs(absl::StatusCode::kInvalidArgument))
        << uri;
  }
}

}  // namespace
}  // namespace te
