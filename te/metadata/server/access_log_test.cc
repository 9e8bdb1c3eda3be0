#include "te/metadata/server/access_log.h"

#include <chrono>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "te/metadata/metadata_access.h"

namespace te::metadata_server {
namespace {

MetadataAccess Access() {
  return {.method = "Get",
          .key = "te/segment/a",
          .peer = "ipv4:10.0.0.1:5",
          .duration = std::chrono::microseconds(7)};
}

TEST(AccessLogTest, IsJson) {
  EXPECT_EQ(FormatAccess(Access()),
            R"({"method":"Get","key":"te/segment/a","peer":"ipv4:10.0.0.1:5",)"
            R"("code":"OK","us":7})");
}

TEST(AccessLogTest, AClientCannotForgeLines) {
  MetadataAccess access = Access();
  access.key = "a\n\"\\\xff";
  access.status = absl::InternalError("why\r");
  EXPECT_EQ(FormatAccess(access),
            R"({"method":"Get","key":"a\u000a\"\\\u00ff",)"
            R"("peer":"ipv4:10.0.0.1:5","code":"INTERNAL","us":7,)"
            R"("error":"why\u000d"})");
}

TEST(AccessLogTest, OrdinaryLifeIsNoError) {
  MetadataAccess access = Access();
  EXPECT_FALSE(IsError(access));
  access.status = absl::NotFoundError("");
  EXPECT_FALSE(IsError(access));
  access.status = absl::AbortedError("");
  EXPECT_FALSE(IsError(access));
  access.status = absl::ResourceExhaustedError("");
  EXPECT_TRUE(IsError(access));
}

}  // namespace
}  // namespace te::metadata_server
