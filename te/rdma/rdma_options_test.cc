#include "te/rdma/rdma_options.h"

#include <chrono>
#include <functional>
#include <string>
#include <vector>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/status_matchers.h"

namespace te {
namespace {

using std::chrono::hours;
using std::chrono::milliseconds;
using std::chrono::nanoseconds;
using std::chrono::seconds;

struct Field {
  std::string name;
  std::vector<std::function<void(RdmaOptions&)>> good;
  std::vector<std::function<void(RdmaOptions&)>> bad;
};

// Sets a member to the ends of its range, and to what is just beyond.
template <typename Member, typename Value>
Field Range(const std::string& name, Member member, Value low, Value high,
            Value step) {
  const auto set = [member](Value value) {
    return [=](RdmaOptions& options) { options.*member = value; };
  };
  return {name, {set(low), set(high)}, {set(low - step), set(high + step)}};
}

std::vector<Field> Fields() {
  using O = RdmaOptions;
  const nanoseconds ns(1);
  std::vector<Field> fields = {
      Range("gid_index", &O::gid_index, 0, 255, 1),
      Range("num_qp", &O::num_qp, 1, 64, 1),
      Range("max_wr", &O::max_wr, 16, 16384, 1),
      Range("max_sge", &O::max_sge, 1, 16, 1),
      Range("max_inline", &O::max_inline, 0, 1024, 1),
      Range("window_bytes", &O::window_bytes, uint64_t{64} << 10,
            uint64_t{4} << 30, uint64_t{1}),
      Range("max_endpoints", &O::max_endpoints, 1, 65536, 1),
      Range("max_read_depth", &O::max_read_depth, 1, 255, 1),
      Range("service_level", &O::service_level, 0, 15, 1),
      Range("traffic_class", &O::traffic_class, 0, 255, 1),
      Range("pkey_index", &O::pkey_index, 0, 65535, 1),
      Range("ack_timeout", &O::ack_timeout, 1, 31, 1),
      Range("retry_count", &O::retry_count, 0, 7, 1),
      Range<Duration O::*, nanoseconds>("work_timeout", &O::work_timeout,
                                        milliseconds(100), hours(1), ns),
      Range<Duration O::*, nanoseconds>("flush_timeout", &O::flush_timeout,
                                        milliseconds(1), hours(1), ns),
      Range<Duration O::*, nanoseconds>("handshake_timeout",
                                        &O::handshake_timeout, milliseconds(1),
                                        hours(1), ns),
      Range<Duration O::*, nanoseconds>("keepalive", &O::keepalive,
                                        milliseconds(100), hours(1), ns),
      Range<Duration O::*, nanoseconds>("spin", &O::spin, nanoseconds(0),
                                        seconds(1), ns)};
  Field port = {.name = "port"};
  for (const uint8_t good : {1, 255}) {
    port.good.emplace_back([=](O& options) { options.port = good; });
  }
  port.bad.emplace_back([](O& options) { options.port = 0; });
  fields.push_back(port);
  Field mtu = {.name = "mtu"};
  for (const int good : {256, 512, 1024, 2048, 4096}) {
    mtu.good.emplace_back([=](O& options) { options.mtu = good; });
  }
  for (const int bad : {-1, 0, 255, 257, 1500, 4200, 8192}) {
    mtu.bad.emplace_back([=](O& options) { options.mtu = bad; });
  }
  fields.push_back(mtu);
  return fields;
}

TEST(RdmaOptionsTest, TheDefaultsAreValid) {
  TE_EXPECT_OK(RdmaOptions().Validate());
}

TEST(RdmaOptionsTest, EachOptionHasItsRange) {
  for (const Field& field : Fields()) {
    SCOPED_TRACE(field.name);
    for (const auto& set : field.good) {
      RdmaOptions options;
      set(options);
      TE_EXPECT_OK(options.Validate());
    }
    ASSERT_FALSE(field.bad.empty());
    for (const auto& set : field.bad) {
      RdmaOptions options;
      set(options);
      EXPECT_THAT(options.Validate(),
                  StatusIs(absl::StatusCode::kInvalidArgument,
                           testing::HasSubstr("rdma option " + field.name)));
    }
  }
}

}  // namespace
}  // namespace te
