#include "te/topology/hwloc_xml.h"

#include <string>
#include <thread>
#include <vector>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/status_matchers.h"
#include "te/topology/hwloc_tree.h"

namespace te {
namespace {

using ::testing::IsEmpty;

TEST(HwlocXmlTest, ThisMachineCanBeReadAgain) {
  TE_ASSERT_OK_AND_ASSIGN(const std::string xml, HwlocXmlOfThisMachine());
  TE_ASSERT_OK_AND_ASSIGN(const HwlocTree tree, ParseHwlocTree(xml));
  EXPECT_THAT(tree.warnings, IsEmpty());
  ASSERT_FALSE(tree.nodes.empty());
  EXPECT_FALSE(tree.nodes.front().cpus.empty());
}

// ThreadSanitizer sees libudev's race without the lock.
TEST(HwlocXmlTest, ManyThreadsMayAskAtOnce) {
  std::vector<std::thread> threads;
  for (int i = 0; i < 8; ++i) {
    threads.emplace_back([] { EXPECT_TRUE(HwlocXmlOfThisMachine().ok()); });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace te
