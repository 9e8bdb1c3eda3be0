#include "te/tools/topo_json.h"

#include <string>

#include "gtest/gtest.h"
#include "nlohmann/json.hpp"
#include "te/base/status_matchers.h"
#include "te/tools/topo_report.h"
#include "te/topology/priority_matrix.h"
#include "te/topology/test_machines.h"

namespace te::tools {
namespace {

using Json = nlohmann::json;

Json JsonOf(const Machine& machine) {
  return Json::parse(TopoJson(MakeTopoReport(machine, {}).value()));
}

TEST(TopoJsonTest, HasWhatThereIs) {
  const Json json = JsonOf(DiscoverTestMachine("two_sockets"));
  ASSERT_EQ(json["numa_nodes"].size(), 2U);
  EXPECT_EQ(json["numa_nodes"][1]["location"], "cpu:1");
  EXPECT_EQ(json["numa_nodes"][1]["cpus"], Json({4, 5, 6, 7}));
  EXPECT_EQ(json["numa_latencies"]["cpu:0"]["cpu:1"], 21);
  ASSERT_EQ(json["nics"].size(), 2U);
  const Json& nic = json["nics"][0];
  EXPECT_EQ(nic["name"], "mlx5_0");
  EXPECT_EQ(nic["pci_address"], "0000:3b:00.0");
  EXPECT_EQ(nic["numa_node"], 0);
  EXPECT_EQ(nic["driver"], "mlx5_core");
  EXPECT_EQ(nic["port"], 1);
  EXPECT_EQ(nic["state"], "ACTIVE");
  EXPECT_EQ(nic["link_layer"], "Ethernet");
  EXPECT_EQ(nic["rate_gbps"], 100);
  EXPECT_EQ(nic["netdev"], "enp59s0np0");
  EXPECT_EQ(nic["usable"], true);
  EXPECT_EQ(nic["why_unusable"], nullptr);
  EXPECT_EQ(nic["ports"][0]["gids"][3], Json({{"index", 3},
                                              {"gid", "::ffff:10.0.0.1"},
                                              {"type", "RoCE v2"},
                                              {"netdev", "enp59s0np0"}}));
  EXPECT_EQ(json["nics"][1]["why_unusable"], "port 1 is DOWN");
  EXPECT_EQ(json["gpus"], Json::array());
  EXPECT_EQ(json["net_devices"][0]["name"], "enp59s0np0");
  EXPECT_EQ(json["pci_bridges"].size(), 4U);
  EXPECT_EQ(json["distances"]["cpu:1"],
            Json({{"mlx5_0", "other_socket"}, {"mlx5_1", "same_numa_node"}}));
  EXPECT_EQ(json["warnings"], Json::array());
}

TEST(TopoJsonTest, TheMatrixHasAllLocations) {
  EXPECT_EQ(JsonOf(DiscoverTestMachine("two_sockets"))["matrix"],
            Json::parse(R"({
              "cpu:0": {"preferred": ["mlx5_0"], "fallback": []},
              "cpu:1": {"preferred": ["mlx5_0"], "fallback": []},
              "*": {"preferred": ["mlx5_0"], "fallback": []}})"));
  EXPECT_EQ(JsonOf(DiscoverTestMachine("one_socket"))["matrix"],
            Json::parse(R"({"cpu:0": {"preferred": [], "fallback": []},
                            "*": {"preferred": [], "fallback": []}})"));
}

TEST(TopoJsonTest, TheMatrixCanBeGivenToAnEngine) {
  const Json matrix = JsonOf(DiscoverTestMachine("eight_gpus"))["matrix"];
  TE_ASSERT_OK_AND_ASSIGN(const PriorityMatrix read,
                          PriorityMatrix::FromJson(matrix.dump()));
  EXPECT_EQ(read.preferences().size(), 11U);
}

TEST(TopoJsonTest, WhatIsUnknownIsNull) {
  const Json nic = JsonOf(DiscoverTestMachineByXml("two_sockets"))["nics"][0];
  for (const char* key : {"driver", "rate_gbps"}) {
    EXPECT_EQ(nic[key], nullptr) << key;
  }
  EXPECT_EQ(nic["ports"][0]["gids"], nullptr);
}

TEST(TopoJsonTest, SurvivesBytesThatAreNoUtf8) {
  Machine machine = DiscoverTestMachineByXml("eight_gpus");
  machine.gpus[0].name = "\xff\xfe\x01";
  EXPECT_EQ(JsonOf(machine)["gpus"].size(), 8U);
}

}  // namespace
}  // namespace te::tools
