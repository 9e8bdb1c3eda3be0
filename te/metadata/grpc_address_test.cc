#include "te/metadata/grpc_address.h"

#include <cstdint>
#include <string>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/host_port.h"
#include "te/base/status_matchers.h"

namespace te {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

HostPort At(const char* host, uint16_t port) {
  return {.host = host, .port = port};
}

TEST(GrpcAddressTest, ReadsWhatIsDocumented) {
  const struct {
    const char* uri;
    GrpcAddress address;
  } kCases[] = {
      {"grpc://meta:1", {.servers = {At("meta", 1)}}},
      {"grpc://[::1]:1,10.0.0.2:65535",
       {.servers = {At("::1", 1), At("10.0.0.2", 65535)}}},
      {"grpcs://meta:1?ca=/etc/ca.pem",
       {.servers = {At("meta", 1)}, .tls = true, .ca_file = "/etc/ca.pem"}},
      {"grpcs://10.0.0.1:1?ca=a&cert=b=c&key=d&name=meta",
       {.servers = {At("10.0.0.1", 1)},
        .tls = true,
        .ca_file = "a",
        .cert_file = "b=c",
        .key_file = "d",
        .tls_name = "meta"}},
  };
  for (const auto& c : kCases) {
    SCOPED_TRACE(c.uri);
    EXPECT_THAT(GrpcAddress::Parse(c.uri), IsOkAndHolds(c.address));
    EXPECT_EQ(c.address.ToString(), c.uri);
  }
}

TEST(GrpcAddressTest, SaysWhatIsWrong) {
  const struct {
    std::string uri;
    const char* what;
  } kCases[] = {
      {"redis://meta:1", "does not begin"},
      {"grpc://", "\"\" is not host:port"},
      {"grpc://meta", "\"meta\" is not host:port"},
      {"grpc://meta:0", "\"meta:0\" is not host:port"},
      {"grpc://meta:1,", "\"\" is not host:port"},
      {"grpc://meta:1\n", "\\n\" is not host:port"},
      {"grpc://meta:1?ca=x", "only grpcs:// takes parameters"},
      {"grpc://meta:1?", "only grpcs:// takes parameters"},
      {"grpcs://meta:1", "ca is missing"},
      {"grpcs://meta:1?name=x", "ca is missing"},
      {"grpcs://meta:1?ca=", "\"ca\" is unknown, empty"},
      {"grpcs://meta:1?ca=x&ca=y", "\"ca\" is unknown, empty, malformed, or"},
      {"grpcs://meta:1?ca=x&password=hunter2", "\"password\" is unknown"},
      {"grpc://te:hunter2@meta:1", "it takes no user"},
      {"grpcs://meta:1?ca=x&cert=y", "cert and key belong together"},
      {std::string("grpcs://meta:1?ca=x\0y", 21), "\"ca\" is unknown"},
  };
  for (const auto& c : kCases) {
    EXPECT_THAT(GrpcAddress::Parse(c.uri),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         AllOf(HasSubstr(c.what), Not(HasSubstr("hunter2")))))
        << c.uri;
  }
}

}  // namespace
}  // namespace te
