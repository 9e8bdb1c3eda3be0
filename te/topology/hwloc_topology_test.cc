#include "te/topology/hwloc_topology.h"

#include <hwloc.h>

#include <string>

#include "absl/status/status.h"
#include "gtest/gtest.h"
#include "te/base/status_matchers.h"

namespace te {
namespace {

using ::testing::HasSubstr;

int CountPus(const HwlocTopology& topology) {
  return hwloc_get_nbobjs_by_type(topology.get(), HWLOC_OBJ_PU);
}

TEST(HwlocTopologyTest, DiscoversThisMachine) {
  TE_ASSERT_OK_AND_ASSIGN(const HwlocTopology topology,
                          HwlocTopology::OfThisMachine());
  EXPECT_GE(CountPus(topology), 1);
}

TEST(HwlocTopologyTest, ReadsASyntheticMachineAndItsXml) {
  TE_ASSERT_OK_AND_ASSIGN(const HwlocTopology synthetic,
                          HwlocTopology::FromSynthetic("numa:2 core:4 pu:2"));
  EXPECT_EQ(CountPus(synthetic), 16);

  char* xml = nullptr;
  int length = 0;
  ASSERT_EQ(hwloc_topology_export_xmlbuffer(synthetic.get(), &xml, &length, 0),
            0);
  const std::string copy(xml);
  hwloc_free_xmlbuffer(synthetic.get(), xml);
  TE_ASSERT_OK_AND_ASSIGN(const HwlocTopology read,
                          HwlocTopology::FromXml(copy));
  EXPECT_EQ(CountPus(read), 16);
}

TEST(HwlocTopologyTest, RefusesWhatIsNoTopology) {
  EXPECT_THAT(
      HwlocTopology::FromSynthetic("two sockets").status(),
      StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("'two sockets'")));
  for (const std::string xml : {"", "<topology", "<html></html>"}) {
    EXPECT_THAT(HwlocTopology::FromXml(xml).status(),
                StatusIs(absl::StatusCode::kInvalidArgument, HasSubstr("XML")))
        << xml;
  }
}

}  // namespace
}  // namespace te
