// Turns what libpq says into the errors of error.hpp.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include <lido/postgres/detail/sql/redact.hpp>
#include <lido/postgres/detail/wire/handle.hpp>
#include <lido/postgres/error.hpp>

namespace lido::postgres::detail {

[[nodiscard, gnu::noinline]] inline std::string field(const PGresult* result, int code) {
  const char* text = PQresultErrorField(result, code);
  return text == nullptr ? std::string{} : std::string{text};
}

/// One line without the line ends that libpq's messages are full of; each of its lines is a sentence of its own.
[[nodiscard]] inline std::string one_line(std::string_view text) {
  constexpr std::string_view ends = ".,:;?! ";
  std::string line;
  bool between = false;  // two lines
  for (const char c : text) {
    const bool new_line = c == '\n' || c == '\t';
    if (new_line || (between && c == ' ')) {
      between = between || (new_line && !line.empty());
      continue;
    }
    if (between) {
      if (ends.find(line.back()) == std::string_view::npos) line += '.';
      if (line.back() != ' ') line += ' ';
      between = false;
    }
    line += c;
  }
  while (!line.empty() && line.back() == ' ') line.pop_back();
  return line;
}

/// A number of the server's; 0 where it says none.
[[nodiscard]] inline std::size_t number_field(const PGresult* result, int code) {
  const char* const said = PQresultErrorField(result, code);
  std::string_view text = said == nullptr ? "" : said;
  return take_number<std::size_t>(text).value_or(0);
}

/// In no locale. Where poolers speak for themselves there is only the one for humans, which they translate for nobody.
[[nodiscard]] inline const char* severity_of(const PGresult* result) noexcept {
  const char* severity = PQresultErrorField(result, PG_DIAG_SEVERITY_NONLOCALIZED);
  const bool from_afar = PQresultErrorField(result, PG_DIAG_SQLSTATE) != nullptr;  // libpq has none, and translates
  if (severity == nullptr && from_afar) severity = PQresultErrorField(result, PG_DIAG_SEVERITY);
  return severity == nullptr ? "" : severity;
}

/// What the server (or, without a SQLSTATE, libpq) says in `result`.
[[nodiscard]] inline Diagnostics diagnostics_of(const PGresult* result, std::string_view sql) {
  Diagnostics diagnostics{.sqlstate = field(result, PG_DIAG_SQLSTATE),
                          .severity = severity_of(result),
                          .message = without_passwords(field(result, PG_DIAG_MESSAGE_PRIMARY)),
                          .detail = without_passwords(field(result, PG_DIAG_MESSAGE_DETAIL)),
                          .hint = without_passwords(field(result, PG_DIAG_MESSAGE_HINT)),
                          .context = without_passwords(field(result, PG_DIAG_CONTEXT)),
                          .schema = field(result, PG_DIAG_SCHEMA_NAME),
                          .table = field(result, PG_DIAG_TABLE_NAME),
                          .column = field(result, PG_DIAG_COLUMN_NAME),
                          .data_type = field(result, PG_DIAG_DATATYPE_NAME),
                          .constraint = field(result, PG_DIAG_CONSTRAINT_NAME),
                          .position = number_field(result, PG_DIAG_STATEMENT_POSITION),
                          .statement = without_passwords(sql)};
  if (diagnostics.statement != sql)
    for (std::string* const text : {&diagnostics.message, &diagnostics.detail, &diagnostics.context})
      *text = without_quoted(std::move(*text), sql, diagnostics.statement);
  if (diagnostics.message.empty()) diagnostics.message = without_passwords(one_line(PQresultErrorMessage(result)));
  return diagnostics;
}

/// The server ends the session with this. Not told by the SQLSTATE: 08P01 and 08001 are also plain errors, of a wrong
/// number of parameters and of a foreign server.
[[nodiscard]] inline bool is_fatal(const Diagnostics& diagnostics) noexcept {
  return diagnostics.severity == "FATAL" || diagnostics.severity == "PANIC";
}

/// The SQLSTATE and message of a failed connect, taken from a message of verbosity VERBOSE, which is
/// `...: FATAL:  28P01: password authentication failed` in every locale; of several attempts the last one counts.
[[nodiscard]] inline Diagnostics connect_diagnostics(std::string_view message) {
  constexpr std::string_view gap = ":  ";
  // Character by character: libc++ looks for the last of several from the first on, each time anew.
  for (std::size_t at = message.size(); at > 0; --at) {
    if (message.substr(at, gap.size()) != gap) continue;
    const std::string_view rest = message.substr(at + gap.size());
    const std::string_view state = rest.substr(0, 5);
    if (rest.size() < 7 || rest.substr(5, 2) != ": ") continue;
    if (state.find_first_not_of("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ") != std::string_view::npos) continue;
    const std::size_t line = message.rfind('\n', at) + 1;  // npos + 1 is 0
    const std::string_view prefix = message.substr(line, at - line);
    const std::string_view text = rest.substr(7, rest.find('\n') - 7);
    return {
        .sqlstate = std::string{state}, .severity = "FATAL", .message = std::string{prefix} + ": " + std::string{text}};
  }
  return {.message = one_line(message)};
}

}  // namespace lido::postgres::detail
