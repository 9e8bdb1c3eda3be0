#include "te/bench/transport_flags.h"

#include <string>
#include <vector>

#include "absl/status/status.h"
#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/status_matchers.h"
#include "te/bench/flag_values.h"
#include "te/options.h"

namespace te::bench {
namespace {

using testing::Contains;
using testing::ElementsAre;
using testing::HasSubstr;
using testing::IsEmpty;
using testing::Not;

FlagValues Given(const std::string& protocol) {
  FlagValues flags;
  flags.protocol = protocol;
  flags.given = {"gid_index", "mtu", "checksum", "spin_us", "device_name"};
  return flags;
}

TEST(TransportFlagsTest, NamesThoseThatHaveNoEffect) {
  EXPECT_THAT(
      FlagsInVain(Given("tcp")),
      ElementsAre("--gid_index, --mtu have no effect with --protocol=tcp"));
  EXPECT_THAT(FlagsInVain(Given("rdma")),
              ElementsAre("--checksum has no effect with --protocol=rdma"));
  FlagValues flags;
  flags.protocol = "tcp";
  flags.given = {"shm_workers"};
  EXPECT_THAT(FlagsInVain(flags),
              ElementsAre("--shm_workers has no effect with --protocol=tcp"));
  flags.protocol = "shm";
  EXPECT_THAT(FlagsInVain(flags), IsEmpty());
  EXPECT_THAT(FlagsInVain(Given("auto")), IsEmpty());
}

TEST(TransportFlagsTest, ArgumentsMakeTheSameOptions) {
  FlagValues flags;
  flags.ib_port = 2;
  flags.gid_index = 3;
  flags.mtu = 2048;
  flags.relaxed_ordering = false;
  flags.tcp_streams = 3;
  flags.shm_workers = 0;
  Options options;
  TE_ASSERT_OK(SetTransportOptions(flags, options));
  EXPECT_THAT(TransportArguments(options),
              testing::IsSupersetOf({"--ib_port=2", "--gid_index=3",
                                     "--mtu=2048", "--relaxed_ordering=false",
                                     "--tcp_streams=3", "--shm_workers=0"}));
  Options defaults;
  TE_ASSERT_OK(SetTransportOptions(FlagValues(), defaults));
  EXPECT_THAT(TransportArguments(defaults),
              testing::IsSupersetOf({"--ib_port=0", "--gid_index=-1", "--mtu=0",
                                     "--relaxed_ordering=true"}));
}

// Which would get a warning.
TEST(TransportFlagsTest, NoArgumentsForOtherTransports) {
  Options options;
  options.protocol = "rdma";
  EXPECT_THAT(TransportArguments(options),
              Not(Contains(HasSubstr("--tcp_streams"))));
  EXPECT_THAT(TransportArguments(options), Contains(HasSubstr("--num_qp")));
  options.protocol = "tcp";
  EXPECT_THAT(TransportArguments(options),
              Not(Contains(HasSubstr("--num_qp"))));
  EXPECT_THAT(TransportArguments(options),
              Not(Contains(HasSubstr("--shm_workers"))));
}

}  // namespace
}  // namespace te::bench
