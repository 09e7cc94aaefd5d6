#include "report.hpp"

#include <algorithm>
#include <cstddef>
#include <string_view>
#include <utility>

#include <nlohmann/json.hpp>

#include "chart.hpp"

namespace lab {

namespace {

constexpr std::string_view head = R"(<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<style>
:root { color-scheme: light dark; --back: #fff; --text: #1c2127; --soft: #5b6672; --line: #d9dfe5; --card: #f6f8fa;
  --s0: #2563c9; --s1: #c2410c; --s2: #15803d; --s3: #7e22ce; --s4: #6b7280; }
@media (prefers-color-scheme: dark) { :root { --back: #14181d; --text: #e6eaee; --soft: #9aa6b2; --line: #303942;
  --card: #1c2229; --s0: #6aa5ff; --s1: #ff9a5c; --s2: #5fd08a; --s3: #c99bff; --s4: #a5afb9; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 76rem; padding: 1rem; background: var(--back); color: var(--text);
  font: 16px/1.5 system-ui, sans-serif; overflow-wrap: break-word; }
h1 { font-size: 1.5rem; } h2 { font-size: 1.15rem; margin: 1.6rem 0 .4rem; }
.advice { background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .2rem 1rem; }
.advice strong { font-size: 1.2rem; }
.charts { display: grid; grid-template-columns: repeat(auto-fill, minmax(min(22rem, 100%), 1fr)); gap: 1rem; }
figure { margin: 0; background: var(--card); border: 1px solid var(--line); border-radius: .5rem; padding: .6rem; min-width: 0; }
figcaption small, .soft { color: var(--soft); }
svg { display: block; width: 100%; height: auto; } svg text { font-size: 10.5px; fill: var(--soft); }
.grid { stroke: var(--line); stroke-width: 1; fill: none; } .line { fill: none; stroke-width: 1.8; stroke-linejoin: round; }
.s0 { stroke: var(--s0); --c: var(--s0); } .s1 { stroke: var(--s1); --c: var(--s1); } .s2 { stroke: var(--s2); --c: var(--s2); }
.s3 { stroke: var(--s3); --c: var(--s3); } .s4 { stroke: var(--s4); --c: var(--s4); }
.area { fill: var(--c); stroke: none; }
.legend { margin: .2rem 0 0; font-size: .8rem; color: var(--soft); display: flex; flex-wrap: wrap; gap: .2rem 1rem; }
.legend i { display: inline-block; width: .8rem; height: .5rem; margin-right: .35rem; background: var(--c); }
.scroll { overflow-x: auto; } table { border-collapse: collapse; font-size: .85rem; white-space: nowrap; }
th, td { padding: .25rem .55rem; text-align: right; border-bottom: 1px solid var(--line); } th:first-child, td:first-child { text-align: left; }
tr.chosen td { font-weight: 600; } summary { cursor: pointer; font-size: 1.05rem; margin: .8rem 0; }
</style>
)";

constexpr double periods = 60;

// Of those who came within each sixtieth of it.
std::vector<std::vector<double>> by_period(const Outcome& outcome, bool served) {
  std::vector<std::vector<double>> all(static_cast<std::size_t>(periods));
  for (const Caller& caller : outcome.callers) {
    const double place = caller.came / std::max(outcome.lasted, 1e-9) * periods;
    const bool lost = caller.fate == Fate::timed_out || caller.fate == Fate::refused || caller.fate == Fate::failed;
    if (lost == served) continue;
    all[std::min(static_cast<std::size_t>(place), all.size() - 1)].push_back(caller.waited);
  }
  return all;
}

Chart waits(const Outcome& outcome) {
  Chart chart{.title = "Waits", .x = "seconds", .y = "of those who were served", .series = {}, .spans = true};
  Series median{"median", {}}, high{"99 of 100 are shorter", {}}, longest{"longest", {}};
  auto all = by_period(outcome, true);
  for (std::size_t i = 0; i < all.size(); ++i) {
    if (all[i].empty()) continue;
    const double at = outcome.lasted * (static_cast<double>(i) + 0.5) / periods;
    median.points.emplace_back(at, percentile(all[i], 0.5));
    high.points.emplace_back(at, percentile(all[i], 0.99));
    longest.points.emplace_back(at, percentile(all[i], 1));
  }
  chart.series = {median, high, longest};
  return chart;
}

Chart connections(const Outcome& outcome) {
  Chart chart{.title = "Connections", .x = "seconds", .y = "by what they do", .series = {}, .stacked = true};
  Series leased{"leased", {}}, idle{"idle", {}}, opening{"opening", {}}, other{"checked or closing", {}};
  for (const Look& look : outcome.looks) {
    leased.points.emplace_back(look.at, look.counts.leased);
    idle.points.emplace_back(look.at, look.counts.idle);
    opening.points.emplace_back(look.at, look.counts.opening);
    other.points.emplace_back(look.at, look.counts.checking + look.counts.closing);
  }
  chart.series = {leased, idle, opening, other};
  return chart;
}

Chart queue(const Outcome& outcome) {
  Chart chart{.title = "Callers without a connection", .x = "seconds", .y = "at a time, and a second", .series = {}};
  Series waiting{"waiting", {}}, lost{"refused, timed out or failed, a second", {}};
  for (const Look& look : outcome.looks) waiting.points.emplace_back(look.at, look.counts.waiting);
  const auto all = by_period(outcome, false);
  for (std::size_t i = 0; i < all.size(); ++i)
    lost.points.emplace_back(outcome.lasted * (static_cast<double>(i) + 0.5) / periods,
                             static_cast<double>(all[i].size()) * periods / std::max(outcome.lasted, 1e-9));
  chart.series = {waiting, lost};
  return chart;
}

Chart over_sizes(const std::vector<Result>& results) {
  Chart chart{.title = "Waits by size", .x = "connections", .y = "over the whole run", .series = {}, .spans = true};
  Series median{"median", {}}, high{"99 of 100 are shorter", {}}, longest{"longest", {}};
  for (const Result& result : results) {
    if (result.outcome.pool.sized == 0) continue;
    const auto size = static_cast<double>(result.outcome.pool.sized);
    median.points.emplace_back(size, result.summary.p50);
    high.points.emplace_back(size, result.summary.p99);
    longest.points.emplace_back(size, result.summary.longest);
  }
  chart.series = {median, high, longest};
  return chart;
}

constexpr const char* columns[] = {"pool",   "callers", "a second", "served in 1 s", "timed out", "refused",
                                   "failed", "median",  "p90",      "p99",           "longest",   "busy"};
std::vector<std::string> cells(const Result& result) {
  const Summary& sum = result.summary;
  return {
      result.outcome.pool.name,
      std::to_string(sum.callers),
      number(sum.per_second),
      number(sum.callers == 0 ? 0 : 100.0 * static_cast<double>(sum.in_time) / static_cast<double>(sum.callers)) + " %",
      std::to_string(sum.timed_out),
      std::to_string(sum.refused),
      std::to_string(sum.failed),
      words(sum.p50),
      words(sum.p90),
      words(sum.p99),
      words(sum.longest),
      number(sum.utilisation * 100, 0) + " %"};
}

std::string over_time(const Outcome& outcome) {
  return draw(waits(outcome)) + draw(connections(outcome)) + draw(queue(outcome));
}

// Whether `result` is the one that is recommended.
bool chosen(const Result& result, const Advice& advice) {
  return advice.size && result.outcome.pool.sized == *advice.size;
}

}  // namespace

std::string page(const Experiment& experiment, const std::vector<Result>& results, const Advice& advice,
                 const std::string& stage) {
  std::string html{head};
  html += "<title>" + escaped(experiment.workload.name) + " - pool_lab</title></head><body><main>\n<h1>" +
          escaped(experiment.workload.name) + "</h1>\n<p class=\"soft\">" + escaped(stage) + "</p>\n";
  if (std::ranges::any_of(results, [](const Result& one) { return one.outcome.interrupted; }))
    html += "<p><strong>It was interrupted: these are the figures so far.</strong></p>\n";
  if (!advice.reasons.empty()) {
    html +=
        "<div class=\"advice\"><p><strong>" +
        (advice.size ? "Take " + std::to_string(*advice.size) + (*advice.size == 1 ? " connection." : " connections.")
                     : std::string{"Try larger sizes."}) +
        "</strong></p>";
    for (const std::string& reason : advice.reasons) html += "<p>" + escaped(reason) + "</p>";
    html += "</div>\n";
  }
  html += "<h2>Side by side</h2>\n<div class=\"scroll\"><table><thead><tr>";
  for (const char* const column : columns) html += "<th>" + std::string{column} + "</th>";
  html += "</tr></thead><tbody>\n";
  for (const Result& result : results) {
    html += chosen(result, advice) ? "<tr class=\"chosen\">" : "<tr>";
    for (const std::string& cell : cells(result)) html += "<td>" + escaped(cell) + "</td>";
    html += "</tr>\n";
  }
  html += "</tbody></table></div>\n";
  // The one that matters stands open, beside the curve; the others are to be opened.
  const auto shown = std::ranges::find_if(results, [&](const Result& one) { return chosen(one, advice); });
  const Chart curve = over_sizes(results);
  const bool many = curve.series.front().points.size() > 1;
  if (many || shown != results.end())
    html += "<h2>" + escaped(shown != results.end() ? shown->outcome.pool.name : "How large?") +
            "</h2>\n<div class=\"charts\">\n" + (many ? draw(curve) : "") +
            (shown != results.end() ? over_time(shown->outcome) : "") + "</div>\n";
  html += "<h2>Over time</h2>\n";
  for (auto result = results.begin(); result != results.end(); ++result)
    if (result != shown)
      html += std::string{advice.size ? "<details>" : "<details open>"} + "<summary>" +
              escaped(result->outcome.pool.name) + "</summary><div class=\"charts\">\n" + over_time(result->outcome) +
              "</div></details>\n";
  return html + "</main></body></html>\n";
}

std::string json(const Experiment& experiment, const std::vector<Result>& results, const Advice& advice,
                 const std::string& stage) {
  using Json = nlohmann::ordered_json;
  Json all{{"workload", experiment.workload.name}, {"stage", stage}};
  all["recommended_size"] = advice.size ? Json(*advice.size) : Json();
  all["reasons"] = advice.reasons;
  for (const auto& [outcome, sum] : results)
    all["pools"].push_back(
        {{"name", outcome.pool.name},
         {"size", outcome.pool.size},
         {"overflow", outcome.pool.overflow},
         {"interrupted", outcome.interrupted},
         {"callers", sum.callers},
         {"served", sum.served},
         {"in_time", sum.in_time},
         {"timed_out", sum.timed_out},
         {"refused", sum.refused},
         {"failed", sum.failed},
         {"per_second", sum.per_second},
         {"wait",
          {{"mean", sum.mean_wait}, {"p50", sum.p50}, {"p90", sum.p90}, {"p99", sum.p99}, {"max", sum.longest}}},
         {"busy", sum.busy},
         {"utilisation", sum.utilisation}});
  return all.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string table(const std::vector<Result>& results, const Advice& advice) {
  std::vector<std::vector<std::string>> rows{{std::begin(columns), std::end(columns)}};
  for (const Result& result : results) rows.push_back(cells(result));
  std::vector<std::size_t> widths(std::size(columns));
  for (const auto& row : rows)
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  std::string text;
  for (const auto& row : rows) {
    for (std::size_t i = 0; i < row.size(); ++i) {
      const std::string blank(widths[i] - row[i].size(), ' ');
      text += i == 0 ? row[i] + blank : "  " + blank + row[i];
    }
    text += '\n';
  }
  if (advice.size) text += "take " + std::to_string(*advice.size) + '\n';
  for (const std::string& reason : advice.reasons) text += reason + '\n';
  return text;
}

}  // namespace lab
