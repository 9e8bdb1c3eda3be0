#include "te/bench/report.h"

#include <chrono>
#include <memory>
#include <sstream>
#include <string>

#include "gmock/gmock.h"
#include "gtest/gtest.h"
#include "te/base/status_matchers.h"

namespace te::bench {
namespace {

using testing::HasSubstr;
using testing::Not;

Row SomeRow() {
  Row row{.transport = "tcp",
          .workload = {.traffic = Traffic::kWrite,
                       .block_size = 65536,
                       .batch_size = 128,
                       .threads = 12},
          .duration_s = 10.014,
          .batches = 12375,
          .requests = 12375 * 128,
          .bytes = 12375ull * 128 * 65536,
          .verified_bytes = 4096};
  row.latency.Record(std::chrono::microseconds(50));
  row.latency.Record(std::chrono::microseconds(1500));
  return row;
}

TEST(TableReportTest, HasAHeadingTheRowsAndTheLineForScripts) {
  std::ostringstream out;
  const std::unique_ptr<Report> report = MakeTableReport(out, RateUnit(), 2);
  report->Add(SomeRow());
  report->Add(SomeRow());
  report->Finish();
  EXPECT_EQ(
      out.str(),
      "                                                                        "
      "  latency of a batch, us\n"
      "transport op       block  batch threads  iterations     GB/s  requests/s"
      "       p50       p90       p99     p99.9       max\n"
      "tcp       write   64 KiB    128      12       12375    10.37      158179"
      "      50.2      1500      1500      1500      1500\n"
      "tcp       write   64 KiB    128      12       12375    10.37      158179"
      "      50.2      1500      1500      1500      1500\n"
      "Verified 8 KiB: every byte is where it belongs.\n"
      "Test completed: duration 20.03, batch count 24750, throughput 10.37 "
      "GB/s\n");
}

TEST(TableReportTest, ObeysUnitAndPrecision) {
  std::ostringstream out;
  TE_ASSERT_OK_AND_ASSIGN(const RateUnit unit, RateUnit::Parse("Gb"));
  const std::unique_ptr<Report> report = MakeTableReport(out, unit, 3);
  report->Add(SomeRow());
  report->Finish();
  EXPECT_THAT(out.str(), HasSubstr("    Gb/s "));
  EXPECT_THAT(out.str(),
              HasSubstr("Test completed: duration 10.01, batch count 12375, "
                        "throughput 82.931 Gb/s\n"));
}

TEST(TableReportTest, ClaimsNothingAfterErrors) {
  std::ostringstream out;
  const std::unique_ptr<Report> report = MakeTableReport(out, RateUnit(), 2);
  Row row = SomeRow();
  row.errors = 3;
  report->Add(row);
  report->Finish();
  EXPECT_THAT(out.str(), HasSubstr("  3 errors\n"));
  EXPECT_THAT(out.str(), Not(HasSubstr("Verified")));
}

TEST(TableReportTest, WithoutRowsIsEmpty) {
  std::ostringstream out;
  MakeTableReport(out, RateUnit(), 2)->Finish();
  EXPECT_EQ(out.str(), "");
}

TEST(JsonReportTest, IsOneObjectPerRow) {
  std::ostringstream out;
  const std::unique_ptr<Report> report = MakeJsonReport(out);
  report->Add(SomeRow());
  report->Finish();
  EXPECT_EQ(
      out.str(),
      R"({"transport": "tcp", "operation": "write", "block_size": 65536, )"
      R"("batch_size": 128, "threads": 12, "duration_s": 10.014000, )"
      R"("requests": 1584000, "bytes": 103809024000, "gb_per_s": 10.366389, )"
      R"("requests_per_s": 158178.550, "latency_us": {"p50": 50.175, )"
      R"("p90": 1500.000, "p99": 1500.000, "p999": 1500.000, )"
      R"("max": 1500.000}, "verified_bytes": 4096, "errors": 0})"
      "\n");
}

TEST(JsonReportTest, NoTimeIsNoDivisionByZero) {
  std::ostringstream out;
  MakeJsonReport(out)->Add(Row{.transport = "tcp"});
  EXPECT_THAT(out.str(), HasSubstr(R"("gb_per_s": 0.000000)"));
  EXPECT_THAT(out.str(), Not(HasSubstr("nan")));
}

}  // namespace
}  // namespace te::bench
