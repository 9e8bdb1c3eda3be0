#include "te/grpc/status_conversion.h"

#include <string>

#include "absl/status/status.h"
#include "grpcpp/support/status.h"
#include "gtest/gtest.h"
#include "te/base/stale_peer.h"
#include "te/base/status_matchers.h"

namespace te {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::StartsWith;

TEST(StatusConversionTest, KeepsCodesAndMessages) {
  TE_EXPECT_OK(FromGrpcStatus(ToGrpcStatus(absl::OkStatus()), "peer a:1"));
  for (int code = 1; code <= 16; ++code) {
    absl::Status status(static_cast<absl::StatusCode>(code), "why");
    EXPECT_THAT(FromGrpcStatus(ToGrpcStatus(status), "peer a:1"),
                StatusIs(status.code(), StartsWith("peer a:1: why")));
  }
}

TEST(StatusConversionTest, CarriesTheMarkOfAStalePeer) {
  absl::Status carried =
      FromGrpcStatus(ToGrpcStatus(StalePeerError("expected x")), "peer a:1");
  EXPECT_TRUE(IsStalePeer(carried));
  EXPECT_THAT(carried, StatusIs(absl::StatusCode::kFailedPrecondition,
                                "stale peer: peer a:1: expected x"));
  EXPECT_FALSE(IsStalePeer(FromGrpcStatus(
      ToGrpcStatus(absl::FailedPreconditionError("stale peer: x")),
      "peer a:1")));
}

TEST(StatusConversionTest, MessagesAreBounded) {
  const std::string huge(100000, 'x');
  EXPECT_EQ(ToGrpcStatus(absl::InternalError(huge)).error_message().size(),
            2048u);
  EXPECT_EQ(
      FromGrpcStatus(grpc::Status(grpc::INTERNAL, huge), "peer a").message(),
      "peer a: " + huge.substr(0, 2048));
}

TEST(StatusConversionTest, APeerCannotForgeLogLines) {
  EXPECT_THAT(
      FromGrpcStatus(grpc::Status(grpc::INTERNAL, "a\nb\033"), "peer c:1"),
      StatusIs(absl::StatusCode::kInternal, "peer c:1: a?b?"));
}

TEST(StatusConversionTest, SaysWhatToCheckWhenNobodyAnswers) {
  EXPECT_THAT(
      FromGrpcStatus(grpc::Status(grpc::UNAVAILABLE, "refused"), "peer a:1"),
      StatusIs(absl::StatusCode::kUnavailable,
               AllOf(HasSubstr("refused"), HasSubstr("check that"))));
}

// Then somebody is there, and it is te.
TEST(StatusConversionTest, WhatThePeerSaysIsNotExplained) {
  for (const auto code :
       {absl::StatusCode::kUnavailable, absl::StatusCode::kUnimplemented}) {
    EXPECT_THAT(
        FromGrpcStatus(ToGrpcStatus(absl::Status(code, "port 1 is DOWN")),
                       "peer a:1"),
        StatusIs(code, "peer a:1: port 1 is DOWN"));
    const auto grpc_code = static_cast<grpc::StatusCode>(code);
    for (const char* details : {"", "\xff garbage"}) {
      EXPECT_THAT(FromGrpcStatus(grpc::Status(grpc_code, "why", details), "a"),
                  StatusIs(code, StartsWith("a: why; check that ")));
    }
  }
}

TEST(StatusConversionTest, AddressesHaveOurForm) {
  const std::string theirs =
      "ipv6:%5B::ffff:10.0.0.1%5D:80: refused; ipv6:%5B::1%5D:5: refused; "
      "ipv6:%5Bfe80::1%25eth0%5D:6: [::ffff:";
  EXPECT_THAT(
      FromGrpcStatus(grpc::Status(grpc::UNAVAILABLE, theirs), "peer a:1"),
      StatusIs(absl::StatusCode::kUnavailable,
               StartsWith("peer a:1: 10.0.0.1:80: refused; [::1]:5: refused; "
                          "[fe80::1%eth0]:6: [::ffff:")));
}

TEST(StatusConversionTest, NumbersThatAreNoCodesAreUnknown) {
  EXPECT_EQ(ToGrpcCode(0), grpc::StatusCode::OK);
  EXPECT_EQ(ToGrpcCode(16), grpc::StatusCode::UNAUTHENTICATED);
  EXPECT_EQ(ToGrpcCode(17), grpc::StatusCode::UNKNOWN);
  EXPECT_EQ(ToGrpcCode(-1), grpc::StatusCode::UNKNOWN);
}

TEST(StatusConversionTest, SurvivesInventedCodesAndDetails) {
  EXPECT_THAT(
      FromGrpcStatus(grpc::Status(static_cast<grpc::StatusCode>(20), "x"), "a"),
      StatusIs(absl::StatusCode::kUnknown));
  absl::Status status = FromGrpcStatus(
      grpc::Status(grpc::FAILED_PRECONDITION, "x", "\xff garbage"), "a");
  EXPECT_FALSE(IsStalePeer(status));
  EXPECT_THAT(status, StatusIs(absl::StatusCode::kFailedPrecondition));
}

}  // namespace
}  // namespace te
