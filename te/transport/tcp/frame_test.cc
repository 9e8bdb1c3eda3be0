#include "te/transport/tcp/frame.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/incarnation.h"
#include "te/base/status_matchers.h"
#include "te/transport/slice.h"

namespace te::tcp {
namespace {

using testing::HasSubstr;

template <typename Part>
std::array<std::byte, 32> Bytes(const Part& part) {
  std::array<std::byte, 32> bytes;
  Encode(part, bytes.data());
  return bytes;
}

// `part` with a little-endian number written over it.
template <typename Part, typename Number>
std::array<std::byte, 32> Spoiled(const Part& part, size_t at, Number value) {
  auto bytes = Bytes(part);
  memcpy(bytes.data() + at, &value, sizeof(value));
  return bytes;
}

TEST(FrameTest, HeadersComeBack) {
  const FrameHeader header = {.kind = FrameKind::kRequests,
                              .entries = kMaxEntries,
                              .payload_bytes = kMaxPayloadBytes,
                              .target = Incarnation({1, 2, 3})};
  TE_ASSERT_OK_AND_ASSIGN(const FrameHeader read,
                          DecodeHeader(Bytes(header).data()));
  EXPECT_EQ(read.kind, header.kind);
  EXPECT_EQ(read.entries, header.entries);
  EXPECT_EQ(read.payload_bytes, header.payload_bytes);
  EXPECT_EQ(read.target, header.target);
}

TEST(FrameTest, EntriesComeBack) {
  TE_ASSERT_OK_AND_ASSIGN(
      const HelloEntry hello,
      DecodeHello(
          Bytes(HelloEntry{.session = Incarnation({9}), .stream = 4}).data()));
  EXPECT_EQ(hello.session, Incarnation({9}));
  EXPECT_EQ(hello.stream, 4u);

  TE_ASSERT_OK_AND_ASSIGN(
      const RequestEntry request,
      DecodeRequest(Bytes(RequestEntry{.id = UINT32_MAX,
                                       .operation = Operation::kWrite,
                                       .length = kMaxSliceBytes,
                                       .address = UINT64_MAX - 1,
                                       .generation = UINT64_MAX - 2,
                                       .checked = true,
                                       .crc32c = 0xdeadbeef})
                        .data()));
  EXPECT_EQ(request.id, UINT32_MAX);
  EXPECT_EQ(request.operation, Operation::kWrite);
  EXPECT_EQ(request.length, kMaxSliceBytes);
  EXPECT_EQ(request.address, UINT64_MAX - 1);
  EXPECT_EQ(request.generation, UINT64_MAX - 2);
  EXPECT_TRUE(request.checked);
  EXPECT_EQ(request.crc32c, 0xdeadbeef);

  TE_ASSERT_OK_AND_ASSIGN(
      const ResponseEntry response,
      DecodeResponse(Bytes(ResponseEntry{.id = 7,
                                         .count = 1,
                                         .code = absl::StatusCode::kNotFound,
                                         .length = kMaxErrorTextBytes,
                                         .checked = true,
                                         .crc32c = 0xdeadbeef})
                         .data()));
  EXPECT_EQ(response.id, 7u);
  EXPECT_EQ(response.count, 1u);
  EXPECT_EQ(response.code, absl::StatusCode::kNotFound);
  EXPECT_EQ(response.length, kMaxErrorTextBytes);
  EXPECT_TRUE(response.checked);
  EXPECT_EQ(response.crc32c, 0xdeadbeef);
}

// Offsets are those of the wire format.
TEST(FrameTest, MalformedHeadersAreRefused) {
  const FrameHeader good = {.kind = FrameKind::kHello, .entries = 1};
  const auto refused = [&](size_t at, auto value, const char* what) {
    EXPECT_THAT(DecodeHeader(Spoiled(good, at, value).data()),
                StatusIs(absl::StatusCode::kDataLoss, HasSubstr(what)));
  };
  TE_EXPECT_OK(DecodeHeader(Bytes(good).data()));
  refused(0, uint32_t{0}, "magic");
  refused(4, uint8_t{kWireVersion + 1}, "version");
  refused(5, uint8_t{0}, "kind");
  refused(5, uint8_t{5}, "kind");
  refused(6, uint16_t{0}, "entries");
  refused(6, uint16_t{kMaxEntries + 1}, "entries");
  refused(8, kMaxPayloadBytes + 1, "payload");
  refused(8, UINT64_MAX, "payload");
}

TEST(FrameTest, MalformedRequestsAreRefused) {
  const RequestEntry good = {.length = 1};
  const auto refused = [&](size_t at, auto value, const char* what) {
    EXPECT_THAT(DecodeRequest(Spoiled(good, at, value).data()),
                StatusIs(absl::StatusCode::kDataLoss, HasSubstr(what)));
  };
  TE_EXPECT_OK(DecodeRequest(Bytes(good).data()));
  refused(4, uint32_t{0}, "length");
  refused(4, kMaxSliceBytes + 1, "length");
  refused(28, uint8_t{2}, "operation");
}

TEST(FrameTest, MalformedResponsesAreRefused) {
  const ResponseEntry error = {.code = absl::StatusCode::kAborted};
  const auto refused = [](const ResponseEntry& good, size_t at, auto value,
                          const char* what) {
    EXPECT_THAT(DecodeResponse(Spoiled(good, at, value).data()),
                StatusIs(absl::StatusCode::kDataLoss, HasSubstr(what)));
  };
  TE_EXPECT_OK(DecodeResponse(Bytes(error).data()));
  refused(error, 8, uint32_t{kMaxErrorTextBytes + 1}, "text");
  refused(error, 16, uint8_t{17}, "code");
  refused(error, 4, uint32_t{0}, "count");
  refused(error, 4, uint32_t{2}, "count");
  refused(ResponseEntry{.length = 1}, 4, uint32_t{2}, "count");
}

}  // namespace
}  // namespace te::tcp
