#include "te/metadata/server/server_options.h"

#include <chrono>
#include <cmath>
#include <cstdint>
#include <functional>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/host_port.h"
#include "te/base/status_matchers.h"

namespace te::metadata_server {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

TEST(ServerOptionsTest, TheDefaultsAreGood) {
  TE_ASSERT_OK_AND_ASSIGN(const ServerOptions options, ParseOptions({}));
  EXPECT_EQ(options.listen,
            (HostPort{.host = "127.0.0.1", .port = uint16_t{8090}}));
  EXPECT_EQ(options.store, "");
  EXPECT_EQ(options.max_value_bytes, uint64_t{16} << 20);
  EXPECT_EQ(options.drain, std::chrono::seconds(10));
}

TEST(ServerOptionsTest, TakesWhatItIsTold) {
  FlagValues flags;
  flags.listen = "[::]:0";
  flags.backend = "redis://:secret@db/3";
  flags.tls_cert = "c";
  flags.tls_key = "k";
  flags.tls_client_ca = "a";
  flags.max_keys = 5;
  flags.max_value = "1K";
  flags.max_bytes = "2K";
  flags.max_clients = 6;
  flags.max_watches = 8;
  flags.threads = 7;
  flags.drain = 0.5;
  flags.access_log = "errors";
  TE_ASSERT_OK_AND_ASSIGN(const ServerOptions options, ParseOptions(flags));
  EXPECT_EQ(options.listen, (HostPort{.host = "::", .port = uint16_t{0}}));
  EXPECT_EQ(options.store, "redis://:secret@db/3");
  EXPECT_EQ(options.tls.cert_file, "c");
  EXPECT_EQ(options.tls.key_file, "k");
  EXPECT_EQ(options.tls.ca_file, "a");
  EXPECT_EQ(options.max_keys, 5u);
  EXPECT_EQ(options.max_value_bytes, 1024u);
  EXPECT_EQ(options.max_bytes, 2048u);
  EXPECT_EQ(options.max_clients, 6);
  EXPECT_EQ(options.max_watches, 8u);
  EXPECT_EQ(options.threads, 7);
  EXPECT_EQ(options.drain, std::chrono::milliseconds(500));
  EXPECT_EQ(options.access_log, AccessLog::kErrors);
}

TEST(ServerOptionsTest, NamesTheFlagThatIsWrong) {
  const struct {
    std::function<void(FlagValues&)> change;
    const char* what;
  } kCases[] = {
      {[](auto& f) { f.listen = ""; }, "--listen: "},
      {[](auto& f) { f.listen = "10.0.0.1"; }, "--listen: \"10.0.0.1\" has no"},
      {[](auto& f) { f.listen = "a:70000"; }, "--listen: "},
      {[](auto& f) { f.backend = "etcd://x"; }, "--backend: use memory"},
      {[](auto& f) { f.backend = "redis://:hunter2@"; }, "--backend: "},
      {[](auto& f) { f.backend = "grpc://a:1"; }, "--backend: use memory"},
      {[](auto& f) { f.tls_cert = "c"; }, "--tls_key: is missing"},
      {[](auto& f) { f.tls_key = "k"; }, "--tls_cert: is missing"},
      {[](auto& f) { f.tls_client_ca = "a"; }, "--tls_client_ca: needs"},
      {[](auto& f) { f.max_keys = 0; }, "--max_keys: 0 is out of range"},
      {[](auto& f) { f.max_value = "17M"; },
       "--max_value: 17M is out of range"},
      {[](auto& f) { f.max_value = "much"; }, "--max_value: "},
      {[](auto& f) { f.max_bytes = "all"; }, "--max_bytes: "},
      {[](auto& f) { f.max_bytes = "0"; }, "--max_bytes: "},
      {[](auto& f) { f.max_clients = 0; }, "--max_clients: "},
      {[](auto& f) { f.max_watches = 0; }, "--max_watches: 0 is out of range"},
      {[](auto& f) { f.threads = 1; }, "--threads: "},
      {[](auto& f) {
         f.backend = "redis://db";
         f.snapshot_file = "s";
       },
       "--snapshot_file: is for --backend=memory"},
      {[](auto& f) { f.drain = -1; }, "--drain: "},
      {[](auto& f) { f.drain = NAN; }, "--drain: "},
      {[](auto& f) { f.access_log = "some"; }, "--access_log: \"some\"; use"},
  };
  for (const auto& c : kCases) {
    FlagValues flags;
    c.change(flags);
    EXPECT_THAT(ParseOptions(flags),
                StatusIs(absl::StatusCode::kInvalidArgument,
                         AllOf(HasSubstr(c.what), Not(HasSubstr("hunter2")))));
  }
}

}  // namespace
}  // namespace te::metadata_server
