#include "te/program/text_table.h"

#include "gtest/gtest.h"

namespace te::program {
namespace {

TEST(TextTableTest, AlignsColumns) {
  EXPECT_EQ(FormatTable({{"name", "state", "netdev"},
                         {"mlx5_10", "UP", ""},
                         {"a"},
                         {"", "", "eth0"}}),
            "name     state  netdev\n"
            "mlx5_10  UP\n"
            "a\n"
            "                eth0\n");
  EXPECT_EQ(FormatTable({}), "");
  EXPECT_EQ(FormatTable({{}}), "\n");
}

}  // namespace
}  // namespace te::program
