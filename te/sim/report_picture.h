#ifndef TE_SIM_REPORT_PICTURE_H_
#define TE_SIM_REPORT_PICTURE_H_

#include <string>
#include <vector>

#include "te/sim/report.h"

namespace te::sim {

// SVG that needs no other file: a row for each report, with the throughput of
// the policies over time, and how long their requests took.
std::string ReportsSvg(const std::vector<Report>& reports);

}  // namespace te::sim

#endif  // TE_SIM_REPORT_PICTURE_H_
