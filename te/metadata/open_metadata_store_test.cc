#include "te/metadata/open_metadata_store.h"

#include <chrono>
#include <memory>

#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/status_matchers.h"
#include "te/metadata/metadata_store.h"
#include "te/metadata/redis_server_process.h"

namespace te {
namespace {

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

}  // namespace
}  // namespace te
