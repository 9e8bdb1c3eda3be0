#ifndef TE_SIM_CHART_H_
#define TE_SIM_CHART_H_

#include <string>
#include <vector>

#include "absl/strings/string_view.h"

namespace te::sim {

// Charts as groups of an SVG picture, kChartWidth by kChartHeight with all
// their text, and the upper left corner at `x`, `y`. Text is plain ASCII.

inline constexpr int kChartWidth = 560;
inline constexpr int kChartHeight = 300;

struct LineChart {
  struct Line {
    std::string name;
    // Of steps of equal width, from 0.
    std::vector<double> values;
  };

  std::string title;
  std::string x_label;
  std::string y_label;
  double step = 1;
  // In order of importance: the first one is drawn last, above the others.
  std::vector<Line> lines;
  // What to compare with, as a dashed line; empty: nothing.
  std::vector<double> ideal;
};

std::string DrawLines(const LineChart& chart, int x, int y);

struct BarChart {
  struct Group {
    std::string name;
    // One for each of `bars`; below or equal 0: none.
    std::vector<double> values;
  };

  std::string title;
  std::string y_label;
  std::vector<std::string> bars;
  std::vector<Group> groups;
};

// The values on a logarithmic scale, and rounded above each bar.
std::string DrawBars(const BarChart& chart, int x, int y);

// `charts` as one picture that needs no other file.
std::string SvgPicture(int width, int height, absl::string_view charts);

}  // namespace te::sim

#endif  // TE_SIM_CHART_H_
