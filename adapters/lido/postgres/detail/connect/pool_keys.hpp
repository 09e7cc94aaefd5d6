// What a connection string says to the pool, taken out of what it says to libpq.
#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <lido/postgres/detail/sql/lexer.hpp>

namespace lido::postgres::detail {

[[nodiscard]] inline bool is_uri(std::string_view text) noexcept {
  return text.starts_with("postgresql://") || text.starts_with("postgres://");
}

/// One call for all that make a list of names.
[[gnu::noinline]] inline void add_name(std::vector<std::string>& names, std::string_view name) {
  names.emplace_back(name);
}

/// A connection string in two parts. What is malformed stays in `rest`, for libpq to refuse.
class SplitString {
 public:
  /// `balancing`: takes libpq's `load_balance_hosts`, too, for a libpq that does not know it.
  explicit SplitString(std::string_view text, bool balancing = false) : balancing_{balancing} {
    is_uri(text) ? split_uri(text) : split_pairs(text);
  }

  /// What libpq is to see.
  std::string rest;
  /// The keys that are taken out, which begin with `pool_`, and their values, in their order.
  std::vector<std::pair<std::string, std::string>> pool;
  /// The keys in `rest`, in their order, without what may be a piece of a password that should have been quoted.
  std::vector<std::string> others;

 private:
  [[nodiscard]] bool is_taken(std::string_view key) const noexcept {
    return key.starts_with("pool_") || (balancing_ && key == "load_balance_hosts");
  }

  void split_uri(std::string_view uri) {
    // Where libpq sees the query begin: a '?' before the '@' belongs to the password.
    std::size_t start = uri.find("//") + 2;
    const std::size_t at = uri.find_first_of("@/", start);
    if (at != std::string_view::npos && uri[at] == '@') start = at + 1;
    const std::size_t query = uri.find('?', start);
    rest = uri.substr(0, query);
    if (query == std::string_view::npos) return;
    char separator = '?';
    for (std::size_t begin = query + 1; begin <= uri.size();) {
      const std::size_t end = std::min(uri.find('&', begin), uri.size());
      const std::string_view pair = uri.substr(begin, end - begin);
      if (!take_pair(pair)) {
        note_other(pair);
        rest.append(1, separator).append(pair);
        separator = '&';
      }
      begin = end + 1;
    }
  }

  [[nodiscard]] bool take_pair(std::string_view pair) {
    const std::size_t equals = pair.find('=');
    // With an '@' it is the rest of a password that should have been escaped, and is not to be named in an error.
    if (equals == std::string_view::npos || pair.find('@') != std::string_view::npos) return false;
    std::optional<std::string> key = decoded(pair.substr(0, equals));
    std::optional<std::string> value = decoded(pair.substr(equals + 1));
    if (!key || !value || !is_taken(*key)) return false;
    pool.emplace_back(*std::move(key), *std::move(value));
    return true;
  }

  void note_other(std::string_view pair) {
    const std::size_t equals = pair.find('=');
    if (equals == std::string_view::npos || pair.find('@') != std::string_view::npos) return;
    const std::optional<std::string> key = decoded(pair.substr(0, equals));
    // As JDBC writes sslmode=require: libpq takes it in a URI, and yet has no key of that name.
    if (key && !(*key == "ssl" && decoded(pair.substr(equals + 1)) == "true")) add_name(others, *key);
  }

  // Nothing where a '%' is not followed by two hexadecimal digits.
  [[nodiscard]] static std::optional<std::string> decoded(std::string_view text) {
    std::string plain;
    for (std::size_t at = 0; at < text.size(); ++at) {
      if (text[at] != '%') {
        plain.append(1, text[at]);
        continue;
      }
      unsigned byte = 0;
      const std::string_view digits = text.substr(at + 1, 2);
      for (const char digit : digits) {
        const std::size_t value = std::string_view{"0123456789abcdef"}.find(lower(digit));
        if (value == std::string_view::npos) return std::nullopt;
        byte = byte * 16 + static_cast<unsigned>(value);
      }
      if (digits.size() != 2) return std::nullopt;
      plain.append(1, static_cast<char>(byte));
      at += 2;
    }
    return plain;
  }

  // `key = value`, `key='it\'s'`, with any space between.
  void split_pairs(std::string_view text) {
    std::size_t at = 0;
    bool after_password = false;  // unquoted, so that what comes next may belong to it
    const auto skip_space = [&] {
      while (at < text.size() && is_space(text[at])) ++at;
    };
    for (skip_space(); at < text.size(); skip_space()) {
      const std::size_t begin = at;
      while (at < text.size() && text[at] != '=' && !is_space(text[at])) ++at;
      const std::string_view key = text.substr(begin, at - begin);
      skip_space();
      std::optional<std::string> value;
      if (at < text.size() && text[at] == '=') {
        ++at;
        skip_space();
        value = take_value(text, at);
      } else {
        at = text.size();
      }
      if (value && is_taken(key)) {
        pool.emplace_back(key, *std::move(value));
      } else {
        rest.append(rest.empty() ? "" : " ").append(text.substr(begin, at - begin));
        if (value && !after_password) add_name(others, key);
      }
      after_password = key.ends_with("password") && text[at - 1] != '\'';
    }
  }

  // Moves `at` behind the value; nothing where its closing quote is missing.
  [[nodiscard]] static std::optional<std::string> take_value(std::string_view text, std::size_t& at) {
    const bool quoted = at < text.size() && text[at] == '\'';
    if (quoted) ++at;
    std::string value;
    while (at < text.size() && (quoted ? text[at] != '\'' : !is_space(text[at]))) {
      if (text[at] == '\\') ++at;
      if (at < text.size()) value.append(1, text[at++]);
    }
    if (!quoted) return value;
    if (at == text.size()) return std::nullopt;
    ++at;
    return value;
  }

  bool balancing_;
};

}  // namespace lido::postgres::detail
