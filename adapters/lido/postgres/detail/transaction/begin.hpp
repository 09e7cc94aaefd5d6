// The text that begins a transaction.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <limits>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <lido/error.hpp>
#include <lido/facts.hpp>
#include <lido/postgres/detail/sql/lexer.hpp>
#include <lido/postgres/detail/sql/reading.hpp>
#include <lido/postgres/detail/sql/transaction_control.hpp>
#include <lido/postgres/detail/values/limits.hpp>
#include <lido/postgres/detail/wire/handle.hpp>
#include <lido/postgres/error.hpp>
#include <lido/postgres/result.hpp>
#include <lido/postgres/transaction.hpp>

namespace lido::postgres::detail {

/// A script that begins a transaction, and what may be shown of it: values are parameters, which are not shown.
struct Begin {
  std::string sql;
  std::string shown;
  std::vector<std::string> values;  // which the server may quote
  std::string names;                // the settings by which names and literals mean something else
  bool untold = false;              // one of them is such that nobody asks for it
};

/// `text` as a literal, whatever its bytes, the encoding and `standard_conforming_strings` are. Throws `InvalidOption`,
/// naming `field`, for what is no text.
[[nodiscard]] inline std::string literal(PGconn* connection, std::string_view text, const std::string& field) {
  if (text.find('\0') != std::string_view::npos) throw InvalidOption{field, "a value without a zero byte"};
  const LibpqMemory<char> quoted{PQescapeLiteral(connection, text.data(), text.size())};
  if (!quoted) throw InvalidOption{field, "a value that is valid in the client's encoding"};
  return quoted.get();
}

/// The names in a list as the server reads it: in lower case unless quoted, with commas between them. Nothing if it is
/// malformed.
[[nodiscard]] inline std::optional<std::vector<std::string>> listed_names(std::string_view list) {
  std::vector<std::string> names;
  const auto skip_blank = [&] { list.remove_prefix(std::min(list.size(), list.find_first_not_of(" \t\n\r\f\v"))); };
  for (;;) {
    skip_blank();
    std::string& name = names.emplace_back();
    if (list.starts_with('"')) {
      const std::size_t length = Lexer{list}.next().text.size();
      if (length < 2 || list[length - 1] != '"') return std::nullopt;
      for (std::size_t at = 1; at < length - 1; ++at) {
        name.append(1, list[at]);
        if (list[at] == '"') ++at;  // it is doubled
      }
      list.remove_prefix(length);
    } else {
      const std::size_t length = std::min(list.size(), list.find_first_of(", \t\n\r\f\v\""));
      for (const char c : list.substr(0, length)) name.append(1, lower(c));
      list.remove_prefix(length);
      if (name.empty() && (names.size() > 1 || !list.empty())) return std::nullopt;
    }
    skip_blank();
    if (list.empty()) return names;
    if (!list.starts_with(',')) return std::nullopt;
    list.remove_prefix(1);
  }
}

/// Writes the script; the settings are `SET LOCAL` and not `set_config()`, since a SELECT would fix what a repeatable
/// read sees.
class BeginWriter {
 public:
  /// `enclosed`: within a transaction, whose isolation is what it is.
  BeginWriter(PGconn* connection, const TransactionOptions& options, bool enclosed) : connection_{connection} {
    enclosed ? add_enclosed(options) : add_begin(options);
    if (options.statement_timeout)
      set("statement_timeout", milliseconds("statement_timeout", *options.statement_timeout));
    if (options.lock_timeout) set("lock_timeout", milliseconds("lock_timeout", *options.lock_timeout));
    if (options.application_name) set("application_name", *options.application_name);
    for (const Setting& each : options.set_local) set(each.name, each.value);
    // The time is taken after the id, see `transaction_status`.
    if (options.track_commit) add("; SELECT txid_current(), (extract(epoch from clock_timestamp()) * 1000000)::bigint");
  }

  [[nodiscard]] Begin take() && { return std::move(begin_); }

 private:
  void add_begin(const TransactionOptions& options) {
    add("BEGIN");
    if (options.isolation == Isolation::read_committed) add(" ISOLATION LEVEL READ COMMITTED");
    if (options.isolation == Isolation::repeatable_read) add(" ISOLATION LEVEL REPEATABLE READ");
    if (options.isolation == Isolation::serializable) add(" ISOLATION LEVEL SERIALIZABLE");
    if (options.read_only) add(" READ ONLY");
    if (options.deferrable) add(" DEFERRABLE");
  }
  void add_enclosed(const TransactionOptions& options) {
    add("SAVEPOINT ");
    add(begun_savepoint);
    if (options.read_only) add("; SET TRANSACTION READ ONLY");
  }

  void add(std::string_view text) {
    begin_.sql += text;
    begin_.shown += text;
  }

  void set(const std::string& name, const std::string& value) {
    const std::string field = lido::detail::concat({"TransactionOptions::set_local, ", name});
    add(lido::detail::concat({"; SET LOCAL ", setting_name(name), " TO "}));
    begin_.shown += "'***'";
    begin_.values.push_back(value);
    // Of these one literal would be one name, however many commas it has.
    const auto is = [&](std::string_view other) { return detail::is(name, other); };
    if (is_read_by(name)) begin_.names.append(name).append(1, '\0').append(value).append(1, '\0');
    begin_.untold = begin_.untold || is_one_of(name, untold_settings);
    if (is("search_path") || is("temp_tablespaces")) {
      const auto names = listed_names(value);
      if (!names) throw InvalidOption{field, "names with commas between them"};
      if (std::any_of(names->begin(), names->end(), [](const std::string& each) { return each.size() > most_name; }))
        throw InvalidOption{field, "names of at most 63 bytes, as the server would cut them"};
      for (const std::string& each : *names)
        begin_.sql.append(&each == &names->front() ? "" : ", ").append(literal(connection_, each, field));
      begin_.values.insert(begin_.values.end(), names->begin(), names->end());
    } else {
      begin_.sql += literal(connection_, value, field);
    }
  }

  // Each part is quoted, so that it may be a keyword (`"role"`); the server does not tell upper from lower case in
  // them.
  [[nodiscard]] static std::string setting_name(std::string_view name) {
    const auto goes_on = [](char c) { return begins(c) || is_digit(c) || c == '$'; };
    std::string quoted;
    for (std::size_t at = 0;;) {
      const std::size_t end = std::min(name.find('.', at), name.size());
      const std::string_view part = name.substr(at, end - at);
      if (part.empty() || part.size() > most_name) malformed();  // the server would cut it, and set another
      if (!begins(part.front()) || !std::all_of(part.begin(), part.end(), goes_on)) malformed();
      quoted += quoted_name(part);
      if (end == name.size()) return quoted;
      quoted += '.';
      at = end + 1;
    }
  }
  [[nodiscard]] static bool begins(char c) noexcept { return (lower(c) >= 'a' && lower(c) <= 'z') || c == '_'; }
  [[noreturn]] static void malformed() {
    throw InvalidOption{
        "TransactionOptions::set_local",
        "names of letters, digits, _ and $, of at most 63, which begin with a letter or _, with dots between them"};
  }

  [[nodiscard]] static std::string milliseconds(const std::string& field, Duration limit) {
    if (limit == Duration::max()) return "0";
    const auto count = std::chrono::ceil<std::chrono::milliseconds>(limit).count();
    if (limit < Duration::zero() || count > std::numeric_limits<std::int32_t>::max())
      throw InvalidOption{lido::detail::concat({"TransactionOptions::", field}), "0 to 24 days"};
    return lido::detail::decimal(count);
  }

  PGconn* connection_;
  Begin begin_;
};

/// The script that begins a transaction on `connection`, or, `enclosed`, one within the transaction of a sandbox.
/// Throws `InvalidOption`, naming the field. No I/O.
[[nodiscard]] inline Begin begin_script(PGconn* connection, const TransactionOptions& options, bool enclosed = false) {
  return BeginWriter{connection, options, enclosed}.take();
}

/// The id that the answer to a script with `track_commit` holds.
[[nodiscard]] inline TransactionId transaction_id_of(const Result& answer) {
  return {.number = answer[0][0].as<std::int64_t>(), .assigned = answer[0][1].as<std::int64_t>()};
}

}  // namespace lido::postgres::detail
