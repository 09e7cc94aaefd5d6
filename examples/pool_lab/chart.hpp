// Charts as SVG, which take their colours from the page.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace lab {

/// `text` for HTML.
std::string escaped(const std::string& text);

struct Series {
  std::string name;
  std::vector<std::pair<double, double>> points;  ///< by x
};

struct Chart {
  std::string title, x, y;  ///< what it shows, and what the axes are
  std::vector<Series> series;
  bool stacked = false;  ///< areas on top of each other, with the same x; else lines
  bool spans = false;    ///< y is seconds, on a logarithmic axis from a millisecond
};

/// A `<figure>` with a legend. Of its width whatever there is.
std::string draw(const Chart& chart);

}  // namespace lab
