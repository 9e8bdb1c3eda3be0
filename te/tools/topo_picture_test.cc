#include "te/tools/topo_picture.h"

#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/memory_location.h"
#include "te/tools/topo_report.h"
#include "te/topology/test_machines.h"

namespace te::tools {
namespace {

using ::testing::AllOf;
using ::testing::HasSubstr;
using ::testing::Not;

TopoReport Report(const char* machine) {
  return MakeTopoReport(DiscoverTestMachineByXml(machine), {}).value();
}

TEST(TopoPictureTest, ColoursNicsByTheirDistance) {
  const TopoReport report = Report("eight_gpus");
  const std::string near_gpu = TopoSvg(report, MemoryLocation::Cuda(1));
  EXPECT_THAT(near_gpu,
              AllOf(HasSubstr(R"(class="nic same_switch" id="nic-1")"),
                    HasSubstr(R"(class="nic same_root_complex" id="nic-0")"),
                    HasSubstr(R"(class="nic same_numa_node" id="nic-2")"),
                    HasSubstr(R"(class="nic other_socket" id="nic-7")"),
                    HasSubstr(R"(class="gpu chosen" id="memory-cuda:1")"),
                    HasSubstr("<title>below the same PCIe switch at "
                              "0000:21:00.0</title>")));
  EXPECT_THAT(TopoSvg(report, MemoryLocation::Cpu(1)),
              AllOf(HasSubstr(R"(class="nic other_socket" id="nic-1")"),
                    HasSubstr(R"(class="node chosen" id="memory-cpu:1")")));
  EXPECT_THAT(TopoSvg(report, MemoryLocation()),
              AllOf(HasSubstr(R"(class="nic anywhere" id="nic-1")"),
                    Not(HasSubstr("chosen\""))));
}

TEST(TopoPictureTest, ShowsWhatIsLeftOut) {
  EXPECT_THAT(TopoSvg(Report("two_sockets"), MemoryLocation::Cpu(1)),
              AllOf(HasSubstr(R"(class="nic left_out" id="nic-1")"),
                    HasSubstr("<title>left out: port 1 is DOWN</title>")));
}

TEST(TopoPictureTest, NeedsNoOtherFile) {
  const std::string page = TopoHtml(Report("sixteen_nics"), MemoryLocation());
  EXPECT_THAT(page, AllOf(Not(HasSubstr("src=")), Not(HasSubstr("href=")),
                          Not(HasSubstr("url("))));
  EXPECT_THAT(page, HasSubstr("<option selected>*</option>"));
}

TEST(TopoPictureTest, NamesOfAFileCannotBecomeMarkup) {
  Machine machine = DiscoverTestMachineByXml("eight_gpus");
  machine.gpus[0].name = "</text><script>alert(1)</script>\x01\xff";
  machine.nics[0].name = "a<b><script>";
  machine.nics[0].ports[0].netdev = "\"&'";
  machine.bridges[0].buses = "]]><!--";
  const TopoReport report = MakeTopoReport(machine, {}).value();
  for (const std::string& picture : {TopoSvg(report, MemoryLocation()),
                                     TopoHtml(report, MemoryLocation())}) {
    EXPECT_THAT(picture, AllOf(Not(HasSubstr("<script>alert")),
                               Not(HasSubstr("<b>")), Not(HasSubstr("<!--")),
                               Not(HasSubstr("\x01")), Not(HasSubstr("\xff"))));
    EXPECT_THAT(picture, HasSubstr("&quot;&amp;'"));
  }
  EXPECT_THAT(TopoHtml(report, MemoryLocation()),
              HasSubstr("a\\u003cb>\\u003cscript>"));
}

}  // namespace
}  // namespace te::tools
