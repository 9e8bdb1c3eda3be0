// GetMany over real connections, to a server in this process.

#include <stddef.h>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/base/thread_annotations.h"
#include "absl/status/status.h"
#include "absl/status/statusor.h"
#include "absl/strings/str_cat.h"
#include "gmock/gmock.h"
#include "grpcpp/client_context.h"
#include "grpcpp/create_channel.h"
#include "grpcpp/security/credentials.h"
#include "grpcpp/server_context.h"
#include "grpcpp/support/status.h"
#include "gtest/gtest.h"
#include "te/base/clock.h"
#include "te/base/host_port.h"
#include "te/base/mutex.h"
#include "te/base/status_matchers.h"
#include "te/metadata/grpc_store.h"
#include "te/metadata/metadata_access.h"
#include "te/metadata/metadata_service.grpc.pb.h"
#include "te/metadata/metadata_service.pb.h"
#include "te/metadata/metadata_store.h"
#include "te/metadata/metadata_test_server.h"
#include "te/metadata/value_part.h"

namespace te {
namespace {

using metadata::v1::GetManyRequest;
using metadata::v1::GetManyResponse;
using ::testing::AllOf;
using ::testing::ElementsAre;
using ::testing::HasSubstr;

MonotonicTime Soon() { return RealClock().Now() + std::chrono::seconds(60); }

// A server that says which calls of GetMany there were, and a client.
class GrpcStoreGetManyTest : public testing::Test {
 protected:
  std::vector<std::string> Calls() {
    MutexLock lock(mutex_);
    return calls_;
  }
  // Puts so many, of this size, and returns their keys.
  std::vector<std::string> PutMany(int count, size_t bytes) {
    std::vector<std::string> keys;
    for (int i = 0; i < count; ++i) {
      keys.push_back(absl::StrCat("k", i));
      TE_EXPECT_OK(server_.store().Put(
          keys.back(), {{0, absl::StrCat(i, std::string(bytes, 'x'))}}, {},
          Soon()));
    }
    return keys;
  }

  Mutex mutex_;
  std::vector<std::string> calls_ ABSL_GUARDED_BY(mutex_);
  MetadataTestServer server_{
      {.service = {.on_access = [this](const MetadataAccess& access) {
         if (access.method != "GetMany") return;
         MutexLock lock(mutex_);
         calls_.push_back(absl::StrCat(
             access.key, " ", absl::StatusCodeToString(access.status.code())));
       }}}};
  const std::unique_ptr<GrpcStore> store_ = ConnectTo(server_.address());
};

TEST_F(GrpcStoreGetManyTest, TakesFewCalls) {
  std::vector<std::string> keys = PutMany(600, 10);
  keys[1] = "missing";
  keys[2] = "";
  keys[300] = std::string(MetadataStore::kMaxKeyBytes + 1, 'k');
  const auto values = store_->GetMany(keys, {}, Soon());
  ASSERT_EQ(values.size(), keys.size());
  for (size_t i = 0; i < keys.size(); ++i) {
    if (i == 1) {
      EXPECT_THAT(values[i], StatusIs(absl::StatusCode::kNotFound,
                                      HasSubstr("'missing'")));
    } else if (i == 2 || i == 300) {
      EXPECT_THAT(values[i], StatusIs(absl::StatusCode::kInvalidArgument));
    } else {
      TE_ASSERT_OK(values[i]);
      EXPECT_EQ(values[i]->parts[0].bytes,
                absl::StrCat(i, std::string(10, 'x')));
    }
  }
  // Those that are no keys are not sent.
  EXPECT_THAT(Calls(), ElementsAre("k0 OK", "k257 OK", "k514 OK"));
}

TEST_F(GrpcStoreGetManyTest, TakesMoreCallsForLargeValues) {
  constexpr size_t kBytes = 1'500'000;
  const std::vector<std::string> keys = PutMany(7, kBytes);
  const auto values = store_->GetMany(keys, {}, Soon());
  ASSERT_EQ(values.size(), keys.size());
  for (size_t i = 0; i < keys.size(); ++i) {
    TE_ASSERT_OK(values[i]);
    EXPECT_EQ(values[i]->parts[0].bytes,
              absl::StrCat(i, std::string(kBytes, 'x')));
  }
  EXPECT_THAT(Calls(), ElementsAre("k0 OK", "k2 OK", "k4 OK", "k6 OK"));
}

TEST_F(GrpcStoreGetManyTest, AValueMayBeLargerThanTheOthersTogether) {
  const std::vector<std::string> keys = PutMany(2, 15'000'000);
  for (const auto& value : store_->GetMany(keys, {}, Soon())) {
    TE_EXPECT_OK(value);
  }
  EXPECT_THAT(Calls(), ElementsAre("k0 OK", "k1 OK"));
}

TEST_F(GrpcStoreGetManyTest, TheServerLimitsTheKeys) {
  const auto stub = metadata::v1::Metadata::NewStub(
      grpc::CreateChannel(server_.address().servers.front().ToString(),
                          grpc::InsecureChannelCredentials()));
  for (const auto& [count, code] :
       {std::pair(0, grpc::StatusCode::INVALID_ARGUMENT),
        std::pair(256, grpc::StatusCode::OK),
        std::pair(257, grpc::StatusCode::INVALID_ARGUMENT)}) {
    GetManyRequest request;
    for (int i = 0; i < count; ++i) request.add_keys("k");
    GetManyResponse response;
    grpc::ClientContext context;
    EXPECT_EQ(stub->GetMany(&context, request, &response).error_code(), code);
    EXPECT_EQ(response.items_size(), code == grpc::StatusCode::OK ? count : 0);
  }
  EXPECT_THAT(Calls(),
              ElementsAre(" INVALID_ARGUMENT", "k OK", "k INVALID_ARGUMENT"));
}

// Answers the first call of GetMany with one good value, and those behind it as
// a test wants.
class WrongService final : public metadata::v1::Metadata::Service {
 public:
  using Answer = std::function<grpc::Status(GetManyResponse&)>;
  explicit WrongService(Answer answer) : answer_(std::move(answer)) {}

  grpc::Status GetMany(grpc::ServerContext*, const GetManyRequest* request,
                       GetManyResponse* response) override {
    if (request->keys(0) != "k0") return answer_(*response);
    Add(*response).set_version(7);
    return grpc::Status::OK;
  }
  grpc::Status Get(grpc::ServerContext*, const metadata::v1::GetRequest*,
                   metadata::v1::GetResponse* response) override {
    response->set_version(7);
    return grpc::Status::OK;
  }

  static metadata::v1::GetResponse& Add(GetManyResponse& response) {
    auto& value = *response.add_items()->mutable_value();
    value.set_whole(true);
    return value;
  }

 private:
  const Answer answer_;
};

std::vector<absl::StatusOr<StoredValue>> GetFrom(WrongService::Answer answer) {
  WrongService service(std::move(answer));
  MetadataTestServer server({.instead = &service});
  return ConnectTo(server.address())->GetMany({"k0", "k1", "k2"}, {}, Soon());
}

TEST(GrpcStoreGetManyHostileTest, AnswersThatMakeNoSenseAreDataLoss) {
  const std::function<void(GetManyResponse&)> kCases[] = {
      [](GetManyResponse&) {},
      [](GetManyResponse& r) {
        for (int i = 0; i < 3; ++i) WrongService::Add(r).set_version(7);
      },
      [](GetManyResponse& r) { r.add_items(), r.add_items(); },
      [](GetManyResponse& r) {
        r.add_items()->mutable_error(), r.add_items()->mutable_error();
      },
      [](GetManyResponse& r) { WrongService::Add(r), WrongService::Add(r); },
      [](GetManyResponse& r) {
        for (int i = 0; i < 2; ++i) {
          WrongService::Add(r).set_version(7);
          r.mutable_items(i)->mutable_value()->set_next_part(3);
        }
      },
  };
  for (const auto& spoil : kCases) {
    SCOPED_TRACE(&spoil - kCases);
    const auto values = GetFrom([&](GetManyResponse& response) {
      spoil(response);
      return grpc::Status::OK;
    });
    TE_EXPECT_OK(values[0]);
    for (const size_t i : {1, 2}) {
      EXPECT_THAT(values[i], StatusIs(absl::StatusCode::kDataLoss,
                                      AllOf(HasSubstr(absl::StrCat("'k", i)),
                                            HasSubstr("answers"))));
    }
  }
}

TEST(GrpcStoreGetManyHostileTest, AWrongItemIsNoFaultOfTheOthers) {
  const auto values = GetFrom([](GetManyResponse& response) {
    auto& error = *response.add_items()->mutable_error();
    error.set_code(77);
    error.set_message("\xff\n");
    WrongService::Add(response).set_version(8);
    return grpc::Status::OK;
  });
  TE_EXPECT_OK(values[0]);
  EXPECT_THAT(values[1],
              StatusIs(absl::StatusCode::kUnknown, HasSubstr("'k1'")));
  TE_ASSERT_OK(values[2]);
  EXPECT_EQ(values[2]->version, 8u);
}

TEST(GrpcStoreGetManyHostileTest, TheKeysThatAreLeftGetTheErrorOfACall) {
  const auto values = GetFrom([](GetManyResponse&) {
    return grpc::Status(grpc::StatusCode::PERMISSION_DENIED, "not you");
  });
  TE_EXPECT_OK(values[0]);
  for (const size_t i : {1, 2}) {
    EXPECT_THAT(values[i], StatusIs(absl::StatusCode::kPermissionDenied,
                                    AllOf(HasSubstr(absl::StrCat("'k", i, "'")),
                                          HasSubstr("not you"))));
  }
}

}  // namespace
}  // namespace te
