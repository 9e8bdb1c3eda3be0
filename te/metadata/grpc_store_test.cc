// Over real connections, to a server in this process.
#include "te/metadata/grpc_store.h"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/strings/str_cat.h"
#include "absl/strings/string_view.h"
#include "absl/types/span.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/host_port.h"
#include "te/base/mutex.h"
#include "te/base/socket_address.h"
#include "te/base/status_matchers.h"
#include "te/base/thread.h"
#include "te/grpc/echo.grpc.pb.h"
#include "te/grpc/server.h"
#include "te/grpc/tls.h"
#include "te/metadata/grpc_address.h"
#include "te/metadata/metadata_service.grpc.pb.h"
#include "te/metadata/metadata_service.h"
#include "te/metadata/metadata_store.h"
#include "te/metadata/metadata_store_conformance.h"
#include "te/metadata/metadata_test_server.h"
#include "te/metadata/value_part.h"

namespace te {
namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using ::testing::AllOf;
using ::testing::AnyOf;
using ::testing::HasSubstr;
using ::testing::SizeIs;

MonotonicTime Soon() { return RealClock().Now() + seconds(60); }

using Server = MetadataTestServer;
using ServerSetup = MetadataTestServerOptions;

std::string File(const char* name) { return TestCertificate(name); }

std::unique_ptr<GrpcStore> Connect(const GrpcAddress& address) {
  return ConnectTo(address);
}

// The store of one test, with a server of its own.
class StoreAndServer final : public MetadataStore {
 public:
  explicit StoreAndServer(const ServerSetup& setup)
      : server_(setup), store_(Connect(server_.address())) {}

  absl::StatusOr<uint64_t> Put(absl::string_view key,
                               absl::Span<const ValuePartView> parts,
                               const PutOptions& options,
                               MonotonicTime deadline) override {
    return store_->Put(key, parts, options, deadline);
  }
  absl::Status Renew(absl::string_view key, uint64_t version, Duration lease,
                     MonotonicTime deadline) override {
    return store_->Renew(key, version, lease, deadline);
  }
  absl::StatusOr<StoredValue> Get(absl::string_view key,
                                  const GetOptions& options,
                                  MonotonicTime deadline) override {
    return store_->Get(key, options, deadline);
  }
  std::vector<absl::StatusOr<StoredValue>> GetMany(
      absl::Span<const std::string> keys, const GetOptions& options,
      MonotonicTime deadline) override {
    return store_->GetMany(keys, options, deadline);
  }
  absl::StatusOr<KeyList> List(absl::string_view prefix,
                               absl::string_view after,
                               MonotonicTime deadline) override {
    return store_->List(prefix, after, deadline);
  }
  absl::Status Remove(absl::string_view key,
                      std::optional<uint64_t> expected_version,
                      MonotonicTime deadline) override {
    return store_->Remove(key, expected_version, deadline);
  }
  absl::StatusOr<std::unique_ptr<StoreWatch>> Watch(
      const WatchScope& scope, WatchCallback on_event) override {
    return store_->Watch(scope, std::move(on_event));
  }

 private:
  Server server_;
  const std::unique_ptr<GrpcStore> store_;
};

INSTANTIATE_TEST_SUITE_P(Grpc, MetadataStoreConformance, testing::Values([] {
                           return std::make_unique<StoreAndServer>(
                               ServerSetup{});
                         }));
INSTANTIATE_TEST_SUITE_P(GrpcTls, MetadataStoreConformance, testing::Values([] {
                           return std::make_unique<StoreAndServer>(
                               ServerSetup{.tls = true});
                         }));

// A port of this host where nobody listens.
GrpcAddress Nobody() { return Server().address(); }

TEST(GrpcStoreTest, SaysThatNobodyAnswers) {
  const GrpcAddress address = Nobody();
  EXPECT_THAT(
      GrpcStore::Create(address, Soon()),
      StatusIs(absl::StatusCode::kUnavailable,
               AllOf(HasSubstr(address.ToString()), HasSubstr("refused"))));
}

TEST(GrpcStoreTest, TakesTheServerThatAnswers) {
  Server server;
  GrpcAddress address = Nobody();
  address.servers.push_back(server.address().servers.front());
  const auto store = Connect(address);
  ASSERT_NE(store, nullptr);
  TE_EXPECT_OK(store->Put("k", {{0, "v"}}, {}, Soon()));
}

TEST(GrpcStoreTest, SaysThatItIsNoMetadataServer) {
  proto::Echo::Service service;
  GrpcServerOptions options;
  options.name = "other";
  options.address = *SocketAddress::FromIp("127.0.0.1", 0);
  TE_ASSERT_OK_AND_ASSIGN(const auto server,
                          GrpcServer::Create(options, {&service}));
  GrpcAddress address;
  address.servers = {
      HostPort{.host = "127.0.0.1", .port = server->bound_address().port()}};
  EXPECT_THAT(GrpcStore::Create(address, Soon()),
              StatusIs(absl::StatusCode::kUnimplemented,
                       HasSubstr("compatible version")));
}

TEST(GrpcStoreTest, ComesBackWithTheServer) {
  auto server = std::make_unique<Server>();
  const PortRange ports = server->ports();
  const auto store = Connect(server->address());
  TE_ASSERT_OK(store->Put("k", {{0, "1"}}, {}, Soon()).status());
  server.reset();
  EXPECT_THAT(store->Get("k", {}, RealClock().Now() + milliseconds(50)),
              StatusIs(AnyOf(absl::StatusCode::kUnavailable,
                             absl::StatusCode::kDeadlineExceeded)));
  // A call that begins while it is away finds it when it is back, empty.
  std::atomic<bool> began = false;
  TE_ASSERT_OK_AND_ASSIGN(
      const Thread caller, Thread::Start({.name = "caller"}, [&] {
        began = true;
        TE_EXPECT_OK(store->Put("k", {{0, "2"}}, {}, Soon()).status());
      }));
  while (!began) std::this_thread::yield();
  server = std::make_unique<Server>(ServerSetup{.ports = ports});
}

TEST(GrpcStoreTest, ListsInPages) {
  Server server;
  const auto store = Connect(server.address());
  // More than a page, in keys of the greatest length.
  constexpr int kKeys = 3000;
  const std::string filler(MetadataStore::kMaxKeyBytes - 8, 'x');
  for (int i = 0; i < kKeys; ++i) {
    TE_ASSERT_OK(server.store().Put(absl::StrCat("p/", 10000 + i, filler), {},
                                    {}, Soon()));
  }
  TE_ASSERT_OK_AND_ASSIGN(const KeyList page, store->List("p/", "", Soon()));
  EXPECT_TRUE(page.more);
  TE_ASSERT_OK_AND_ASSIGN(const std::vector<std::string> keys,
                          ListAll(*store, "p/", Soon()));
  EXPECT_THAT(keys, SizeIs(kKeys));
  EXPECT_EQ(keys, *ListAll(server.store(), "p/", Soon()));
}

TEST(GrpcStoreTest, TheServersLimitOfValuesIsNamed) {
  Server server({.service = {.max_value_bytes = 10}});
  const auto store = Connect(server.address());
  TE_EXPECT_OK(store->Put("k", {{0, "01234"}, {1, "56789"}}, {}, Soon()));
  EXPECT_THAT(store->Put("k", {{0, "01234"}, {1, "56789a"}}, {}, Soon()),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("exceeds this server's limit of 10")));
  // Nor do answers have more, whatever is asked.
  TE_EXPECT_OK(store->Put("k", {{2, "0123456789"}}, {}, Soon()));
  EXPECT_EQ(store->Get("k", {}, Soon())->next_part, 2u);
}

TEST(GrpcStoreTest, EachCallIsReported) {
  Mutex mutex;  // calls come on the server's threads
  std::vector<std::string> calls;
  Server server({.service = {.on_access = [&](const MetadataAccess& access) {
                   MutexLock lock(mutex);
                   calls.push_back(absl::StrCat(
                       access.method, " ", access.key, " ",
                       absl::StatusCodeToString(access.status.code())));
                 }}});
  const auto store = Connect(server.address());
  TE_EXPECT_OK(store->Put("k", {{0, "v"}}, {}, Soon()));
  TE_EXPECT_OK(store->Remove("k", std::nullopt, Soon()));
  MutexLock lock(mutex);
  EXPECT_THAT(calls, testing::ElementsAre("Get te/probe NOT_FOUND", "Put k OK",
                                          "Remove k OK"));
}

TEST(GrpcStoreTest, TlsTakesNoCertificateOfAnotherAuthorityOrName) {
  Server server({.tls = true});
  GrpcAddress address = server.address();
  address.ca_file = File("other_ca.pem");
  EXPECT_THAT(GrpcStore::Create(address, Soon()),
              StatusIs(absl::StatusCode::kUnavailable));
  address = server.address();
  address.tls_name = "another.test";
  EXPECT_THAT(GrpcStore::Create(address, Soon()),
              StatusIs(absl::StatusCode::kUnavailable));
}

TEST(GrpcStoreTest, TlsCanAskForTheClientsCertificate) {
  Server server({.tls = true, .client_ca = File("ca.pem")});
  GrpcAddress address = server.address();
  EXPECT_THAT(GrpcStore::Create(address, Soon()),
              StatusIs(absl::StatusCode::kUnavailable));
  address.cert_file = File("client.pem");
  address.key_file = File("client.key");
  const auto store = Connect(address);
  ASSERT_NE(store, nullptr);
  TE_EXPECT_OK(store->Put("k", {{0, "v"}}, {}, Soon()));
}

TEST(GrpcStoreTest, NamesTheTlsFileThatIsWrong) {
  Server server({.tls = true});
  GrpcAddress address = server.address();
  address.ca_file = "/nonesuch/ca.pem";
  EXPECT_THAT(GrpcStore::Create(address, Soon()),
              StatusIs(absl::StatusCode::kNotFound,
                       HasSubstr("TLS file /nonesuch/ca.pem")));
  address.ca_file = "/dev/null";
  EXPECT_THAT(GrpcStore::Create(address, Soon()),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("/dev/null holds no certificate")));
}

TEST(GrpcStoreTest, AnUnknownHostIsNoMissingKey) {
  GrpcAddress address;
  address.servers = {HostPort{.host = "nonesuch.invalid", .port = uint16_t{1}}};
  EXPECT_THAT(GrpcStore::Create(address, RealClock().Now() + seconds(5)),
              StatusIs(AnyOf(absl::StatusCode::kUnavailable,
                             absl::StatusCode::kDeadlineExceeded),
                       HasSubstr("nonesuch.invalid")));
}

// More callers than the server has threads.
TEST(GrpcStoreTest, ABusyServerIsAskedAgain) {
  Server server({.threads = 2});
  const auto store = Connect(server.address());
  std::vector<Thread> callers;
  for (int i = 0; i < 16; ++i) {
    callers.push_back(*Thread::Start({.name = "caller"}, [&store, i] {
      for (int round = 0; round < 20; ++round) {
        TE_EXPECT_OK(store->Put(absl::StrCat("k", i),
                                {{0, std::string(100'000, 'x')}}, {}, Soon()));
      }
    }));
  }
}

// Answers what no store does.
class WrongService final : public metadata::v1::Metadata::Service {
 public:
  grpc::Status Put(grpc::ServerContext*, const metadata::v1::PutRequest*,
                   metadata::v1::PutResponse*) override {
    return grpc::Status::OK;
  }
  grpc::Status Get(grpc::ServerContext*, const metadata::v1::GetRequest*,
                   metadata::v1::GetResponse* response) override {
    MutexLock lock(mutex_);
    *response = get_;
    return grpc::Status::OK;
  }
  grpc::Status List(grpc::ServerContext*, const metadata::v1::ListRequest*,
                    metadata::v1::ListResponse* response) override {
    MutexLock lock(mutex_);
    *response = list_;
    return grpc::Status::OK;
  }

  // The answer to Get.
  void SetGet(const StoredValue& value) {
    MutexLock lock(mutex_);
    get_.Clear();
    get_.set_version(value.version);
    get_.set_whole(value.whole);
    get_.set_next_part(value.next_part);
    for (const ValuePart& part : value.parts) {
      get_.add_parts()->set_number(part.number);
      get_.mutable_parts()->rbegin()->set_bytes(part.bytes);
    }
  }
  // The answer to List.
  void SetList(bool more, const std::vector<std::string>& keys) {
    MutexLock lock(mutex_);
    list_.Clear();
    list_.set_more(more);
    for (const std::string& key : keys) list_.add_keys(key);
  }

 private:
  Mutex mutex_;
  metadata::v1::GetResponse get_ ABSL_GUARDED_BY(mutex_);
  metadata::v1::ListResponse list_ ABSL_GUARDED_BY(mutex_);
};

testing::Matcher<absl::Status> IsWrong() {
  return StatusIs(absl::StatusCode::kDataLoss, HasSubstr("metadata key 'k"));
}

TEST(GrpcStoreTest, TheServersAnswersMayBeAnything) {
  WrongService service;
  Server server({.instead = &service});
  const auto store = Connect(server.address());
  EXPECT_THAT(store->Put("k", {}, {}, Soon()).status(), IsWrong());
  service.SetList(true, {});
  EXPECT_THAT(store->List("k", "", Soon()).status(), IsWrong());
  service.SetList(true, {"k1"});
  EXPECT_THAT(store->List("k", "k1", Soon()).status(), IsWrong())
      << "the same page for ever";
  service.SetList(false, {"k1", "other"});
  EXPECT_THAT(store->List("k", "", Soon()).status(), IsWrong());
}

TEST(GrpcStoreTest, TheServersValuesMayBeAnything) {
  WrongService service;
  Server server({.instead = &service});
  const auto store = Connect(server.address());
  const GetOptions from_1 = {.first_part = 1, .max_bytes = 4};
  service.SetGet({.version = 7, .parts = {{1, "ab"}, {3, "cd"}}});
  TE_EXPECT_OK(store->Get("k", from_1, Soon()));
  service.SetGet({.version = 7, .parts = {{1, "longer"}}, .next_part = 2});
  TE_EXPECT_OK(store->Get("k", from_1, Soon()));
  const StoredValue kWrong[] = {
      {.version = 0, .parts = {{1, "ab"}}},
      {.version = 7, .parts = {{1, "ab"}}, .whole = false},
      {.version = 7, .parts = {{0, "ab"}}},
      {.version = 7, .parts = {{1, "ab"}, {1, "cd"}}},
      {.version = 7, .parts = {{2, "ab"}, {1, "cd"}}},
      {.version = 7, .parts = {{MetadataStore::kMaxParts, "ab"}}},
      {.version = 7, .parts = {{1, "abc"}, {2, "cd"}}},
      {.version = 7, .parts = {}, .next_part = 2},
      {.version = 7, .parts = {{1, "ab"}}, .next_part = 1},
      {.version = 7, .parts = {{1, "ab"}}, .next_part = UINT32_MAX},
  };
  for (const StoredValue& wrong : kWrong) {
    service.SetGet(wrong);
    EXPECT_THAT(store->Get("k", from_1, Soon()).status(), IsWrong())
        << &wrong - kWrong;
  }
  service.SetGet({.version = 7, .whole = false});
  TE_EXPECT_OK(store->Get("k", {.since = 7}, Soon()));
  EXPECT_THAT(store->Get("k", {.since = 8}, Soon()).status(), IsWrong());
}

TEST(GrpcStoreTest, AKeyThatIsNotTheCertificatesShowsAtTheStart) {
  TE_ASSERT_OK_AND_ASSIGN(
      const auto credentials,
      TlsServerCredentials(
          {.cert_file = File("server.pem"), .key_file = File("client.key")}));
  WrongService service;
  GrpcServerOptions options;
  options.name = "tls";
  options.address = *SocketAddress::FromIp("127.0.0.1", 0);
  options.credentials = credentials;
  EXPECT_THAT(GrpcServer::Create(options, {&service}),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr("the key is that of the certificate")));
}

}  // namespace
}  // namespace te
