#include "te/metadata/segment_descriptor.h"

#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "absl/strings/str_cat.h"
#include "gtest/gtest.h"
#include "te/base/incarnation.h"
#include "te/base/memory_location.h"
#include "te/base/status_matchers.h"
#include "te/metadata/buffer_table.h"
#include "te/metadata/segment.pb.h"
#include "te/metadata/transport_keys.h"

namespace te {
namespace {

using ::testing::HasSubstr;

TransportKeys Keys(
    const std::vector<std::pair<std::string, std::string>>& entries) {
  TransportKeys keys;
  for (const auto& [transport, key] : entries) {
    TE_EXPECT_OK(keys.Add(transport, key));
  }
  return keys;
}

SegmentDescriptor Example() {
  SegmentDescriptor descriptor;
  descriptor.name = "prefill-3";
  descriptor.incarnation = *Incarnation::Random();
  descriptor.version = 7;
  descriptor.started_at = 8;
  descriptor.host = {.boot_id = "1a2b",
                     .pid_namespace = 1,
                     .ipc_namespace = 2,
                     .net_namespace = 3,
                     .pid = 4,
                     .process_start_time = 5};
  descriptor.control_addresses = {"10.0.0.1:9000", "[fe80::1%eth0]:9000"};
  descriptor.buffers = {
      {.address = 0x1000,
       .length = 4096,
       .location = MemoryLocation::Cpu(1),
       .remote_read = true,
       .remote_write = false,
       .generation = 1},
      {.address = 0x1800,
       .length = std::numeric_limits<uint64_t>::max() - 0x1800,
       .location = MemoryLocation::Cuda(0),
       .remote_read = false,
       .remote_write = true,
       .generation = 2,
       .keys = Keys({{"shm", ""}, {"rdma", std::string("\0\xff", 2)}})}};
  descriptor.transports = {{"rdma", std::string("\0\xff", 2)}, {"tcp", ""}};
  descriptor.topology = {
      {"cpu:0", {.preferred = {"mlx5_0"}, .fallback = {"mlx5_1", "mlx5_2"}}},
      {"*", {.preferred = {}, .fallback = {"mlx5_0"}}}};
  return descriptor;
}

TEST(SegmentDescriptorTest, ParsingReadsWhatSerializingWrites) {
  const SegmentDescriptor written = Example();
  TE_ASSERT_OK_AND_ASSIGN(const std::string head, written.SerializeHead());
  TE_ASSERT_OK_AND_ASSIGN(const std::string page, written.SerializePage(0));
  size_t pages = 0;
  TE_ASSERT_OK_AND_ASSIGN(SegmentDescriptor parsed,
                          SegmentDescriptor::ParseHead(head, &pages));
  EXPECT_TRUE(parsed.buffers.empty());
  EXPECT_EQ(pages, 1u);
  TE_ASSERT_OK_AND_ASSIGN(
      BufferTable::SharedPage buffers,
      SegmentDescriptor::ParsePage(page, parsed.incarnation));
  parsed.buffers.SetPage(0, std::move(buffers));
  EXPECT_EQ(parsed, written);
}

TEST(SegmentDescriptorTest, EmptyPagesAreEmptyParts) {
  EXPECT_THAT(Example().SerializePage(1), IsOkAndHolds(""));
  EXPECT_THAT(SegmentDescriptor::ParsePage("", Incarnation({1})),
              IsOkAndHolds(nullptr));
}

TEST(SegmentDescriptorTest, AFullPageFits) {
  SegmentDescriptor descriptor = Example();
  TransportKeys keys;
  for (size_t i = 0; i < TransportKeys::kMaxKeys; ++i) {
    TE_ASSERT_OK(
        keys.Add(absl::StrCat(std::string(kMaxTransportNameBytes - 1, 'a'), i),
                 std::string(TransportKeys::kMaxKeyBytes, '\xff')));
  }
  descriptor.buffers.SetPage(
      0, std::make_shared<const BufferTable::Page>(
             BufferTable::kPageBuffers,
             BufferDescriptor{.address = 1,
                              .length = ~uint64_t{0} - 1,
                              .location = MemoryLocation::Cuda(65535),
                              .remote_read = true,
                              .remote_write = true,
                              .generation = ~uint64_t{0},
                              .keys = keys}));
  TE_ASSERT_OK_AND_ASSIGN(const std::string page, descriptor.SerializePage(0));
  EXPECT_LE(page.size(), SegmentDescriptor::kMaxPageBytes);
  TE_EXPECT_OK(SegmentDescriptor::ParsePage(page, descriptor.incarnation));
}

TEST(SegmentDescriptorTest, BuffersWithoutKeysTakeNoBytesForThem) {
  proto::BufferPage page;
  ASSERT_TRUE(page.ParseFromString(*Example().SerializePage(0)));
  EXPECT_EQ(page.buffers(0).transports_size(), 0);
  EXPECT_EQ(page.buffers(1).transports_size(), 2);
}

TEST(SegmentDescriptorTest, GarbageIsRefused) {
  for (const std::string& bytes :
       {std::string("garbage"), std::string(1000, '\xff')}) {
    EXPECT_THAT(SegmentDescriptor::ParseHead(bytes),
                StatusIs(absl::StatusCode::kInvalidArgument));
    EXPECT_THAT(SegmentDescriptor::ParsePage(bytes, Incarnation({1})),
                StatusIs(absl::StatusCode::kInvalidArgument));
  }
  EXPECT_THAT(SegmentDescriptor::ParseHead(""),
              StatusIs(absl::StatusCode::kInvalidArgument));
  EXPECT_THAT(SegmentDescriptor::ParseHead(
                  std::string(SegmentDescriptor::kMaxHeadBytes + 1, '\0')),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("limit")));
  EXPECT_THAT(SegmentDescriptor::ParsePage(
                  std::string(SegmentDescriptor::kMaxPageBytes + 1, '\0'),
                  Incarnation({1})),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("limit")));
}

// A case that breaks one rule of the value type, and the text that says so.
struct Broken {
  const char* problem;
  std::function<void(SegmentDescriptor&)> change;
};

class BrokenDescriptorTest : public testing::TestWithParam<Broken> {};

TEST_P(BrokenDescriptorTest, IsNotSerialized) {
  SegmentDescriptor descriptor = Example();
  GetParam().change(descriptor);
  EXPECT_THAT(descriptor.SerializeHead(),
              StatusIs(absl::StatusCode::kInvalidArgument,
                       HasSubstr(GetParam().problem)));
}

INSTANTIATE_TEST_SUITE_P(
    All, BrokenDescriptorTest,
    testing::Values(
        Broken{"name", [](auto& d) { d.name = ""; }},
        Broken{"name", [](auto& d) { d.name = "a\nb"; }},
        Broken{"name", [](auto& d) { d.name = std::string(257, 'a'); }},
        Broken{"incarnation", [](auto& d) { d.incarnation = Incarnation(); }},
        Broken{"version", [](auto& d) { d.version = 0; }},
        Broken{"boot id", [](auto& d) { d.host.boot_id = "a\x80"; }},
        Broken{"boot id",
               [](auto& d) { d.host.boot_id = std::string(65, 'a'); }},
        Broken{"no port", [](auto& d) { d.control_addresses = {"a"}; }},
        Broken{"no port", [](auto& d) { d.control_addresses = {"a:0"}; }},
        Broken{"control address",
               [](auto& d) { d.control_addresses = {"a b:1"}; }},
        Broken{"control addresses",
               [](auto& d) { d.control_addresses.assign(33, "a:1"); }},
        Broken{"transport name", [](auto& d) { d.transports[""] = ""; }},
        Broken{"transport name", [](auto& d) { d.transports["A"] = ""; }},
        Broken{"transport name",
               [](auto& d) { d.transports[std::string(33, 'a')] = ""; }},
        Broken{"transports",
               [](auto& d) {
                 for (int i = 0; i < 17; ++i) {
                   d.transports["t" + std::to_string(i)] = "";
                 }
               }},
        Broken{"attributes",
               [](auto& d) {
                 d.transports["tcp"] = std::string((8 << 20) + 1, 'x');
               }},
        Broken{"moon", [](auto& d) { d.topology["moon"] = {}; }},
        Broken{"NIC name",
               [](auto& d) { d.topology["*"].preferred = {"a\n"}; }},
        Broken{"NIC name", [](auto& d) { d.topology["*"].fallback = {""}; }},
        Broken{"NICs for",
               [](auto& d) { d.topology["*"].fallback.assign(257, "a"); }},
        Broken{"memory locations", [](auto& d) {
                 for (int i = 0; i < 1025; ++i) {
                   d.topology["cpu:" + std::to_string(i)] = {};
                 }
               }}));

TEST(SegmentDescriptorTest, BrokenBuffersAreNotSerialized) {
  SegmentDescriptor descriptor = Example();
  descriptor.buffers = {{.address = 1, .length = 0}};
  EXPECT_THAT(descriptor.SerializePage(0),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("empty")));
  descriptor.buffers = {{.address = 2, .length = ~uint64_t{0} - 1}};
  EXPECT_THAT(
      descriptor.Validate(),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("address space")));
}

TEST(SegmentDescriptorTest, TheWholeIsBoundedToo) {
  SegmentDescriptor descriptor = Example();
  for (const char* transport : {"a", "b", "c"}) {
    descriptor.transports[transport] = std::string(8 << 20, 'x');
  }
  EXPECT_THAT(descriptor.SerializeHead(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("bytes")));
}

// What a peer may write although SerializeHead would not.
class HostileHeadTest : public testing::Test {
 protected:
  HostileHeadTest() {
    EXPECT_TRUE(message_.ParseFromString(*Example().SerializeHead()));
  }
  absl::StatusOr<SegmentDescriptor> Parse() {
    return SegmentDescriptor::ParseHead(message_.SerializeAsString());
  }

  proto::SegmentDescriptor message_;
};

TEST_F(HostileHeadTest, TheBaseIsGood) { TE_EXPECT_OK(Parse()); }

TEST_F(HostileHeadTest, NewerProtocol) {
  message_.set_protocol_version(2);
  EXPECT_THAT(Parse(), StatusIs(absl::StatusCode::kUnimplemented,
                                HasSubstr("protocol version 2")));
}

TEST_F(HostileHeadTest, UnknownFieldsOfTheSameProtocolAreIgnored) {
  std::string bytes = message_.SerializeAsString();
  bytes += std::string("\x92\x03\x01x", 4);  // field 50, one byte
  TE_EXPECT_OK(SegmentDescriptor::ParseHead(bytes));
}

TEST_F(HostileHeadTest, MissingProtocol) {
  message_.set_protocol_version(0);
  EXPECT_THAT(Parse(), StatusIs(absl::StatusCode::kInvalidArgument,
                                HasSubstr("protocol version")));
}

TEST_F(HostileHeadTest, IncarnationOfAnotherSize) {
  message_.set_incarnation("short");
  EXPECT_THAT(Parse(), StatusIs(absl::StatusCode::kInvalidArgument,
                                HasSubstr("16 bytes")));
}

TEST_F(HostileHeadTest, TooManyPages) {
  message_.set_pages(BufferTable::kMaxPages + 1);
  EXPECT_THAT(Parse(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("pages")));
}

TEST_F(HostileHeadTest, ATransportTwice) {
  message_.add_transports()->set_transport("tcp");
  EXPECT_THAT(Parse(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("twice")));
}

TEST_F(HostileHeadTest, ALocationTwice) {
  message_.add_topology()->set_location("cpu:0");
  EXPECT_THAT(Parse(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("twice")));
}

class HostilePageTest : public testing::Test {
 protected:
  HostilePageTest() {
    EXPECT_TRUE(message_.ParseFromString(*example_.SerializePage(0)));
  }
  absl::StatusOr<BufferTable::SharedPage> Parse() {
    return SegmentDescriptor::ParsePage(message_.SerializeAsString(),
                                        example_.incarnation);
  }

  const SegmentDescriptor example_ = Example();
  proto::BufferPage message_;
};

TEST_F(HostilePageTest, TheBaseIsGood) { TE_EXPECT_OK(Parse()); }

TEST_F(HostilePageTest, AnotherIncarnation) {
  EXPECT_THAT(SegmentDescriptor::ParsePage(message_.SerializeAsString(),
                                           Incarnation({1})),
              StatusIs(absl::StatusCode::kAborted));
}

TEST_F(HostilePageTest, UnknownLocation) {
  message_.mutable_buffers(0)->set_location("moon:1");
  EXPECT_THAT(Parse(), StatusIs(absl::StatusCode::kInvalidArgument,
                                HasSubstr("moon:1")));
}

TEST_F(HostilePageTest, OverflowingBuffer) {
  message_.mutable_buffers(0)->set_address(~uint64_t{0});
  EXPECT_THAT(Parse(), StatusIs(absl::StatusCode::kInvalidArgument,
                                HasSubstr("address space")));
}

TEST_F(HostilePageTest, BadKeys) {
  struct Entry {
    std::string transport;
    std::string key;
    const char* problem;
  };
  for (const Entry& bad :
       std::vector<Entry>{{"", "key", "malformed"},
                          {"RDMA", "key", "malformed"},
                          {std::string("\0", 1), "key", "malformed"},
                          {std::string(10'000, 'a'), "key", "malformed"},
                          {"shm", "key", "two keys"},
                          {"a", std::string(129, 'k'), "limit of 128"},
                          {"a", std::string(10'000, 'k'), "limit of 128"}}) {
    proto::TransportAttributes& added =
        *message_.mutable_buffers(1)->add_transports();
    added.set_transport(bad.transport);
    added.set_attributes(bad.key);
    EXPECT_THAT(Parse(), StatusIs(absl::StatusCode::kInvalidArgument,
                                  HasSubstr(bad.problem)));
    message_.mutable_buffers(1)->mutable_transports()->RemoveLast();
  }
  TE_EXPECT_OK(Parse());
}

TEST_F(HostilePageTest, TooManyKeys) {
  for (const char* transport : {"a", "b"}) {
    message_.mutable_buffers(1)->add_transports()->set_transport(transport);
  }
  TE_EXPECT_OK(Parse());
  message_.mutable_buffers(1)->add_transports()->set_transport("c");
  EXPECT_THAT(Parse(), StatusIs(absl::StatusCode::kInvalidArgument,
                                HasSubstr("limit of 4")));
}

TEST_F(HostilePageTest, TooManyBuffers) {
  while (static_cast<size_t>(message_.buffers_size()) <=
         BufferTable::kPageBuffers) {
    *message_.add_buffers() = message_.buffers(0);
  }
  EXPECT_THAT(Parse(), StatusIs(absl::StatusCode::kInvalidArgument,
                                HasSubstr("buffers in a page")));
}

}  // namespace
}  // namespace te
