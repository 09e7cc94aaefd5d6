#include "chart.hpp"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "advice.hpp"

namespace lab {

namespace {

constexpr double width = 380, height = 210, left = 48, right = 10, top = 8, bottom = 34;
constexpr double least_span = 0.001;

// From 0 to a round number above `most`, in about four steps.
std::vector<double> ticks(double most) {
  if (most <= 0) most = 1;
  const double raw = most / 4;
  const double power = std::pow(10, std::floor(std::log10(raw)));
  double step = 10 * power;
  for (const double times : {1.0, 2.0, 5.0})
    if (raw <= times * power) {
      step = times * power;
      break;
    }
  std::vector<double> all{0};
  while (all.back() < most) all.push_back(all.back() + step);
  return all;
}

class Axes {
 public:
  Axes(const Chart& chart, const std::vector<Series>& shown) : spans_{chart.spans} {
    double x_least = 1e300, x_most = 0, y_most = 0;
    for (const Series& series : shown)
      for (const auto& [x, y] : series.points) {
        x_least = std::min(x_least, x);
        x_most = std::max(x_most, x);
        y_most = std::max(y_most, y);
      }
    x_ticks = ticks(x_most);
    x_from_ = 0;
    x_to_ = std::max(x_most, 1e-9);
    while (x_ticks.size() > 1 && x_ticks.back() > x_to_) x_ticks.pop_back();
    if (spans_) {
      for (double tick = least_span; y_ticks.empty() || y_ticks.back() < y_most; tick *= 10) y_ticks.push_back(tick);
      if (y_ticks.size() == 1) y_ticks.push_back(least_span * 10);
    } else {
      y_ticks = ticks(y_most);
    }
  }

  [[nodiscard]] double x(double value) const {
    return left + (width - left - right) * (value - x_from_) / (x_to_ - x_from_);
  }
  [[nodiscard]] double y(double value) const {
    double part = value / y_ticks.back();
    if (spans_) part = std::log10(std::max(value, least_span) / least_span) / std::log10(y_ticks.back() / least_span);
    return height - bottom - (height - top - bottom) * part;
  }
  [[nodiscard]] std::string name(double tick) const {
    if (spans_) return words(tick);
    return number(tick, y_ticks[1] < 1 ? 1 : 0);
  }

  std::vector<double> x_ticks, y_ticks;

 private:
  bool spans_;
  double x_from_ = 0, x_to_ = 1;
};

std::string point(double x, double y) { return number(x) + "," + number(y); }

}  // namespace

std::string escaped(const std::string& text) {
  std::string safe;
  for (const char character : text) {
    if (character == '&')
      safe += "&amp;";
    else if (character == '<')
      safe += "&lt;";
    else if (character == '>')
      safe += "&gt;";
    else if (character == '"')
      safe += "&quot;";
    else
      safe += character;
  }
  return safe;
}

std::string draw(const Chart& chart) {
  std::vector<Series> shown = chart.series;
  if (chart.stacked)
    for (std::size_t i = 1; i < shown.size(); ++i)
      for (std::size_t k = 0; k < shown[i].points.size(); ++k)
        shown[i].points[k].second += shown[i - 1].points[k].second;
  const Axes axes{chart, shown};
  std::string svg = "<svg viewBox=\"0 0 " + number(width, 0) + " " + number(height, 0) + "\" role=\"img\"><title>" +
                    escaped(chart.title) + "</title>";
  for (const double tick : axes.y_ticks)
    svg += "<path class=\"grid\" d=\"M" + point(left, axes.y(tick)) + "H" + number(width - right) + "\"/><text x=\"" +
           number(left - 5) + "\" y=\"" + number(axes.y(tick) + 3.5) + "\" text-anchor=\"end\">" + axes.name(tick) +
           "</text>";
  for (const double tick : axes.x_ticks)
    svg += "<text x=\"" + number(axes.x(tick)) + "\" y=\"" + number(height - bottom + 14) +
           "\" text-anchor=\"middle\">" + number(tick, axes.x_ticks.size() > 1 && axes.x_ticks[1] < 1 ? 1 : 0) +
           "</text>";
  svg += "<text x=\"" + number(width - right) + "\" y=\"" + number(height - 5) + "\" text-anchor=\"end\">" +
         escaped(chart.x) + "</text>";
  // The highest first, so that the areas of those below cover it.
  for (std::size_t i = shown.size(); i-- > 0;) {
    if (shown[i].points.empty()) continue;
    std::string path;
    for (const auto& [x, y] : shown[i].points)
      path.append(path.empty() ? "M" : "L").append(point(axes.x(x), axes.y(y)));
    const std::string style = " class=\"s" + std::to_string(i);
    if (chart.stacked) {
      const double from = axes.x(shown[i].points.front().first), to = axes.x(shown[i].points.back().first);
      path.append("L").append(point(to, axes.y(0))).append("L").append(point(from, axes.y(0))).append("Z");
    }
    svg.append("<path").append(style).append(chart.stacked ? " area" : " line").append("\" d=\"").append(path);
    svg += "\"/>";
    if (!chart.stacked && shown[i].points.size() <= 20)
      for (const auto& [x, y] : shown[i].points)
        svg +=
            "<circle" + style + " area\" cx=\"" + number(axes.x(x)) + "\" cy=\"" + number(axes.y(y)) + "\" r=\"2.5\"/>";
  }
  svg += "</svg>";
  std::string legend;
  for (std::size_t i = 0; i < chart.series.size(); ++i)
    legend += "<span><i class=\"s" + std::to_string(i) + "\"></i>" + escaped(chart.series[i].name) + "</span>";
  return "<figure><figcaption>" + escaped(chart.title) + " <small>" + escaped(chart.y) + "</small></figcaption>" + svg +
         "<p class=\"legend\">" + legend + "</p></figure>\n";
}

}  // namespace lab
