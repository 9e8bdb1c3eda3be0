#include "te/sim/chart.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <iterator>
#include <string>
#include <vector>

#include "absl/strings/str_cat.h"
#include "absl/strings/str_format.h"
#include "absl/strings/str_replace.h"
#include "absl/strings/string_view.h"

namespace te::sim {
namespace {

// Where the axes are.
constexpr int kLeft = 70;
constexpr int kRight = kChartWidth - 40;
constexpr int kTop = 36;
constexpr int kBottom = kChartHeight - 66;
constexpr int kTick = 5;
// Colours that differ for the colour-blind, too (Okabe and Ito).
constexpr absl::string_view kColours[] = {"#0072b2", "#d55e00", "#009e73",
                                          "#cc79a7", "#e69f00", "#56b4e9"};

constexpr absl::string_view kStyle = R"(
text { font: 12px sans-serif; fill: #222; }
.title { font-weight: bold; font-size: 13px; }
.value { font-size: 10px; }
.axis { stroke: #444; }
.grid { stroke: #ddd; }
polyline { fill: none; stroke-width: 1.5; }
.ideal { stroke-dasharray: 4 4; stroke-width: 1; }
)";

absl::string_view Colour(size_t index) {
  return kColours[index % std::size(kColours)];
}

std::string Escaped(absl::string_view text) {
  return absl::StrReplaceAll(text,
                             {{"&", "&amp;"}, {"<", "&lt;"}, {">", "&gt;"}});
}

std::string Text(double x, double y, absl::string_view anchor,
                 absl::string_view text, absl::string_view attributes = "") {
  return absl::StrFormat(
      "<text x=\"%.1f\" y=\"%.1f\" text-anchor=\"%s\"%s>%s"
      "</text>\n",
      x, y, anchor, attributes, Escaped(text));
}

std::string Segment(absl::string_view style, double x1, double y1, double x2,
                    double y2) {
  return absl::StrFormat(
      "<line class=\"%s\" x1=\"%.1f\" y1=\"%.1f\" x2=\"%.1f\" y2=\"%.1f\"/>\n",
      style, x1, y1, x2, y2);
}

std::string Rect(double x, double y, double width, double height,
                 absl::string_view colour) {
  return absl::StrFormat(
      "<rect x=\"%.1f\" y=\"%.1f\" width=\"%.1f\" height=\"%.1f\" "
      "fill=\"%s\"/>\n",
      x, y, width, height, colour);
}

// 1, 2 or 5 times a power of ten, so that there are up to about six.
double TickStep(double range) {
  const double rough = range / 6;
  const double power = std::pow(10, std::floor(std::log10(rough)));
  for (const double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= rough) return factor * power;
  }
  return 10 * power;
}

// For the little room above a bar: "8.1", "27k".
std::string ShortNumber(double value) {
  constexpr absl::string_view kUnits[] = {"", "k", "M", "G"};
  size_t unit = 0;
  for (; value >= 999.5 && unit + 1 < std::size(kUnits); ++unit) value /= 1000;
  return absl::StrFormat("%.*f%s", value < 9.95 ? 1 : 0, value, kUnits[unit]);
}

std::string Number(double value) { return absl::StrFormat("%.6g", value); }

std::string Frame(absl::string_view title, absl::string_view x_label,
                  absl::string_view y_label) {
  std::string svg = Text(kLeft, 20, "start", title, " class=\"title\"");
  absl::StrAppend(&svg, Segment("axis", kLeft, kBottom, kRight, kBottom),
                  Segment("axis", kLeft, kTop, kLeft, kBottom));
  absl::StrAppend(
      &svg, Text((kLeft + kRight) / 2.0, kBottom + 34, "middle", x_label));
  const int middle = (kTop + kBottom) / 2;
  absl::StrAppend(
      &svg, Text(14, middle, "middle", y_label,
                 absl::StrCat(" transform=\"rotate(-90 14 ", middle, ")\"")));
  return svg;
}

std::string Legend(const std::vector<std::string>& names) {
  std::string svg;
  double x = kLeft;
  for (size_t i = 0; i < names.size(); ++i) {
    absl::StrAppend(&svg, Rect(x, kChartHeight - 22, 12, 12, Colour(i)),
                    Text(x + 17, kChartHeight - 12, "start", names[i]));
    x += 32 + 7 * static_cast<double>(names[i].size());
  }
  return svg;
}

std::string Group(int x, int y, absl::string_view svg) {
  return absl::StrCat("<g transform=\"translate(", x, " ", y, ")\">\n", svg,
                      "</g>\n");
}

double XOf(double share) { return kLeft + share * (kRight - kLeft); }
double YOf(double share) { return kBottom - share * (kBottom - kTop); }

std::string YTick(double share, absl::string_view label) {
  return absl::StrCat(Segment("grid", kLeft, YOf(share), kRight, YOf(share)),
                      Text(kLeft - kTick - 2, YOf(share) + 4, "end", label));
}

std::string Polyline(const std::vector<double>& values, double steps,
                     double top, absl::string_view colour,
                     absl::string_view style) {
  std::string svg = absl::StrCat("<polyline class=\"", style, "\" stroke=\"",
                                 colour, "\" points=\"");
  for (size_t i = 0; i < values.size(); ++i) {
    absl::StrAppendFormat(&svg, "%.1f,%.1f ",
                          XOf((static_cast<double>(i) + 0.5) / steps),
                          YOf(values[i] / top));
  }
  return absl::StrCat(svg, "\"/>\n");
}

}  // namespace

std::string DrawLines(const LineChart& chart, int x, int y) {
  double top = 0;
  for (const double value : chart.ideal) top = std::max(top, value);
  size_t steps = 1;
  std::vector<std::string> names;
  for (const LineChart::Line& line : chart.lines) {
    names.push_back(line.name);
    steps = std::max(steps, line.values.size());
    for (const double value : line.values) top = std::max(top, value);
  }
  if (top <= 0) top = 1;
  top *= 1.05;
  std::string svg;
  const double y_step = TickStep(top);
  for (double tick = 0; tick <= top; tick += y_step) {
    absl::StrAppend(&svg, YTick(tick / top, Number(tick)));
  }
  const double width = static_cast<double>(steps) * chart.step;
  const double x_step = TickStep(width);
  for (double tick = 0; tick <= width; tick += x_step) {
    const double at = XOf(tick / width);
    absl::StrAppend(&svg, Segment("axis", at, kBottom, at, kBottom + kTick),
                    Text(at, kBottom + 18, "middle", Number(tick)));
  }
  absl::StrAppend(&svg, Frame(chart.title, chart.x_label, chart.y_label));
  const auto all = static_cast<double>(steps);
  for (size_t i = chart.lines.size(); i-- > 0;) {
    absl::StrAppend(
        &svg, Polyline(chart.lines[i].values, all, top, Colour(i), "line"));
  }
  if (!chart.ideal.empty()) {
    std::vector<double> ideal = chart.ideal;
    ideal.resize(std::min(ideal.size(), steps));
    absl::StrAppend(&svg, Polyline(ideal, all, top, "#222", "ideal"),
                    Text(kRight + 4, YOf(ideal.back() / top) + 4, "start",
                         "ideal", " class=\"value\""));
  }
  return Group(x, y, absl::StrCat(svg, Legend(names)));
}

std::string DrawBars(const BarChart& chart, int x, int y) {
  double least = HUGE_VAL;
  double most = 0;
  for (const BarChart::Group& group : chart.groups) {
    for (const double value : group.values) {
      if (value <= 0) continue;
      least = std::min(least, value);
      most = std::max(most, value);
    }
  }
  if (most == 0) least = most = 1;
  // Whole decades, and not an empty bar for the least.
  const double low = std::floor(std::log10(least) - 0.1);
  const double high = std::max(low + 1, std::ceil(std::log10(most)));
  std::string svg;
  for (double decade = low; decade <= high; ++decade) {
    absl::StrAppend(&svg, YTick((decade - low) / (high - low),
                                Number(std::pow(10, decade))));
  }
  absl::StrAppend(&svg, Frame(chart.title, "", chart.y_label));
  const double room =
      1.0 / static_cast<double>(std::max<size_t>(1, chart.groups.size()));
  const double width = 0.7 * room / static_cast<double>(chart.bars.size());
  for (size_t g = 0; g < chart.groups.size(); ++g) {
    const double start = (static_cast<double>(g) + 0.15) * room;
    absl::StrAppend(&svg, Text(XOf((static_cast<double>(g) + 0.5) * room),
                               kBottom + 18, "middle", chart.groups[g].name));
    for (size_t i = 0; i < chart.groups[g].values.size(); ++i) {
      const double value = chart.groups[g].values[i];
      if (value <= 0) continue;
      const double left = XOf(start + static_cast<double>(i) * width);
      const double right = XOf(start + static_cast<double>(i + 1) * width);
      const double top = YOf((std::log10(value) - low) / (high - low));
      absl::StrAppend(
          &svg, Rect(left, top, right - left - 2, kBottom - top, Colour(i)),
          Text((left + right) / 2, top - 3, "middle", ShortNumber(value),
               " class=\"value\""));
    }
  }
  return Group(x, y, absl::StrCat(svg, Legend(chart.bars)));
}

std::string SvgPicture(int width, int height, absl::string_view charts) {
  return absl::StrCat("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"",
                      width, "\" height=\"", height, "\" viewBox=\"0 0 ", width,
                      " ", height, "\">\n<style>", kStyle, "</style>\n",
                      "<rect width=\"", width, "\" height=\"", height,
                      "\" fill=\"#fff\"/>\n", charts, "</svg>\n");
}

}  // namespace te::sim
