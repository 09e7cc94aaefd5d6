// What somebody may have meant who wrote a name that nobody knows.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include <lido/detail/concat.hpp>

namespace lido::postgres::detail {

/// Names that are longer are compared with none: the work grows with the product of two lengths.
inline constexpr std::size_t longest_name = 64;

/// How many characters have to be put in, left out or exchanged (Levenshtein, 1966), a row of the table at a time.
[[nodiscard]] inline std::size_t edits_between(std::string_view one, std::string_view other) {
  std::vector<std::size_t> row(other.size() + 1);
  for (std::size_t at = 0; at < row.size(); ++at) row[at] = at;
  for (std::size_t line = 1; line <= one.size(); ++line) {
    std::size_t diagonal = row[0];
    row[0] = line;
    for (std::size_t at = 1; at < row.size(); ++at) {
      const std::size_t exchanged = diagonal + (one[line - 1] == other[at - 1] ? 0 : 1);
      diagonal = row[at];
      row[at] = std::min({exchanged, row[at] + 1, row[at - 1] + 1});
    }
  }
  return row.back();
}

/// The one of `known` that is most like `name`; empty where none is like it.
[[nodiscard]] inline std::string nearest(std::string_view name, const std::vector<std::string>& known) {
  if (name.size() > longest_name) return {};
  std::size_t fewest = std::min<std::size_t>(4, name.size() / 2 + 1);  // more would be another word
  std::string found;
  for (const std::string& each : known) {
    const std::size_t edits = edits_between(name, each);
    if (edits >= fewest) continue;
    fewest = edits;
    found = each;
  }
  return found;
}

[[nodiscard]] inline std::string did_you_mean(std::string_view meant) {
  return lido::detail::concat({"a known name; did you mean ", meant, "?"});
}

/// What an error says was expected in the place of `name`: the one that was meant, or else all of them.
[[nodiscard]] inline std::string known_names(std::string_view name, const std::vector<std::string>& known) {
  if (const std::string meant = nearest(name, known); !meant.empty()) return did_you_mean(meant);
  std::string all = "one of";
  for (const std::string& each : known) all.append(" ").append(each);
  return all;
}

}  // namespace lido::postgres::detail
