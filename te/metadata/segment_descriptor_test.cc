#include "te/metadata/segment_descriptor.h"

#include <functional>
#include <limits>
#include <string>

#include "gtest/gtest.h"
#include "te/base/incarnation.h"
#include "te/base/memory_location.h"
#include "te/base/status_matchers.h"
#include "te/metadata/segment.pb.h"

namespace te {
namespace {

using ::testing::HasSubstr;

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
       .generation = 2}};
  descriptor.transports = {{"rdma", std::string("\0\xff", 2)}, {"tcp", ""}};
  return descriptor;
}

TEST(SegmentDescriptorTest, ParseReadsWhatSerializeWrites) {
  TE_ASSERT_OK_AND_ASSIGN(std::string bytes, Example().Serialize());
  TE_ASSERT_OK_AND_ASSIGN(SegmentDescriptor parsed,
                          SegmentDescriptor::Parse(bytes));
  SegmentDescriptor expected = Example();
  expected.incarnation = parsed.incarnation;
  EXPECT_EQ(parsed, expected);
}

TEST(SegmentDescriptorTest, GarbageIsRefused) {
  for (const std::string& bytes :
       {std::string(), std::string("garbage"), std::string(1000, '\xff')}) {
    EXPECT_THAT(SegmentDescriptor::Parse(bytes),
                StatusIs(absl::StatusCode::kInvalidArgument));
  }
  EXPECT_THAT(SegmentDescriptor::Parse(
                  std::string(SegmentDescriptor::kMaxBytes + 1, '\0')),
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
  EXPECT_THAT(descriptor.Serialize(),
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
        Broken{"empty", [](auto& d) { d.buffers[0].length = 0; }},
        Broken{"address space", [](auto& d) { ++d.buffers[1].length; }},
        Broken{"buffers", [](auto& d) { d.buffers.resize(65537); }},
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
        Broken{"attributes", [](auto& d) {
                 d.transports["tcp"] = std::string((8 << 20) + 1, 'x');
               }}));

TEST(SegmentDescriptorTest, TheWholeIsBoundedToo) {
  SegmentDescriptor descriptor = Example();
  for (const char* transport : {"a", "b", "c"}) {
    descriptor.transports[transport] = std::string(8 << 20, 'x');
  }
  EXPECT_THAT(descriptor.Serialize(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("bytes")));
}

// What a peer may write although Serialize would not.
class HostileDescriptorTest : public testing::Test {
 protected:
  HostileDescriptorTest() {
    EXPECT_TRUE(message_.ParseFromString(*Example().Serialize()));
  }
  absl::StatusOr<SegmentDescriptor> Parse() {
    return SegmentDescriptor::Parse(message_.SerializeAsString());
  }

  proto::SegmentDescriptor message_;
};

TEST_F(HostileDescriptorTest, TheBaseIsGood) { TE_EXPECT_OK(Parse()); }

TEST_F(HostileDescriptorTest, NewerProtocol) {
  message_.set_protocol_version(2);
  EXPECT_THAT(Parse(), StatusIs(absl::StatusCode::kUnimplemented,
                                HasSubstr("protocol version 2")));
}

TEST_F(HostileDescriptorTest, UnknownFieldsOfTheSameProtocolAreIgnored) {
  std::string bytes = message_.SerializeAsString();
  bytes += std::string("\x92\x03\x01x", 4);  // field 50, one byte
  TE_EXPECT_OK(SegmentDescriptor::Parse(bytes));
}

TEST_F(HostileDescriptorTest, MissingProtocol) {
  message_.set_protocol_version(0);
  EXPECT_THAT(Parse(), StatusIs(absl::StatusCode::kInvalidArgument,
                                HasSubstr("protocol version")));
}

TEST_F(HostileDescriptorTest, IncarnationOfAnotherSize) {
  message_.set_incarnation("short");
  EXPECT_THAT(Parse(), StatusIs(absl::StatusCode::kInvalidArgument,
                                HasSubstr("16 bytes")));
}

TEST_F(HostileDescriptorTest, UnknownLocation) {
  message_.mutable_buffers(0)->set_location("moon:1");
  EXPECT_THAT(Parse(), StatusIs(absl::StatusCode::kInvalidArgument,
                                HasSubstr("moon:1")));
}

TEST_F(HostileDescriptorTest, ATransportTwice) {
  message_.add_transports()->set_transport("tcp");
  EXPECT_THAT(Parse(),
              StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("twice")));
}

TEST_F(HostileDescriptorTest, OverflowingBuffer) {
  message_.mutable_buffers(0)->set_address(~uint64_t{0});
  EXPECT_THAT(Parse(), StatusIs(absl::StatusCode::kInvalidArgument,
                                HasSubstr("address space")));
}

}  // namespace
}  // namespace te
