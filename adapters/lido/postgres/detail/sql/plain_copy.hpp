// A COPY of the plainest form, of which can be asked which columns it is about.
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

/// `COPY table FROM STDIN`, `COPY table TO STDOUT`, both perhaps with a list of columns, and `COPY (query) TO STDOUT`,
/// without an option.
struct PlainCopy {
  std::string_view source;             ///< the name of the table, or the query, as it stands there
  std::vector<std::string> columns{};  ///< as the server has their names; empty: all
  std::string_view head;               ///< up to where options stand
  std::string_view tail;               ///< what is behind that: comments
  bool is_table = true;
  bool is_in = false;

  // What follows is to be parsed and never run.

  /// Locks the table as the COPY does that stores in it. Locked for reading first, and for more behind that, it could
  /// be in the way of one who alters it and for whom the COPY alone would wait. The server looks at nothing but the
  /// name of the table.
  [[nodiscard]] std::string lock() const {
    return std::string{"explain insert into "}.append(source).append(" default values");
  }
  /// Has those columns and perhaps others.
  [[nodiscard]] std::string question() const {
    return is_table ? std::string{"select * from "}.append(source) : std::string{source};
  }
  /// What is at that place of the question, as errors count it: where it is in the statement; 0 where that is not
  /// known.
  [[nodiscard]] std::size_t place_of(std::size_t place) const noexcept {
    const auto before = static_cast<std::size_t>(source.data() - head.data());
    const std::string_view first = head.substr(0, before);
    const bool counts = !is_table && place > 0 && std::none_of(first.begin(), first.end(), is_beyond_ascii);
    return counts ? place + before : 0;
  }
  /// The same COPY, in the binary format.
  [[nodiscard]] std::string in_binary() const { return std::string{head}.append(" (format binary)").append(tail); }
};

/// Reads one.
class PlainCopyReader {
 public:
  /// Nothing where `sql` is any other, or may be one. Complexity: linear.
  [[nodiscard]] static std::optional<PlainCopy> read(std::string_view sql) {
    PlainCopyReader reader{sql};
    PlainCopy found;
    if (!reader.read_source(found) || !reader.read_columns(found) || !reader.read_direction(found)) return std::nullopt;
    found.head = sql.substr(0, sql.size() - reader.lexer_.rest().size());
    found.tail = reader.lexer_.rest();
    do reader.advance();
    while (reader.here_.is_the_symbol(';'));
    return reader.here_.kind == Token::end && !reader.doubtful_ ? std::optional{std::move(found)} : std::nullopt;
  }

 private:
  explicit PlainCopyReader(std::string_view sql) noexcept : lexer_{sql}, sql_{sql} {}

  void advance() noexcept {
    here_ = lexer_.next_solid();
    doubtful_ = doubtful_ || here_.doubtful;
  }
  [[nodiscard]] bool at_name() const noexcept { return here_.kind == Token::word || here_.kind == Token::quoted; }
  [[nodiscard]] std::size_t place() const noexcept { return static_cast<std::size_t>(here_.text.data() - sql_.data()); }

  // Stands behind it in the end.
  [[nodiscard]] bool read_source(PlainCopy& found) {
    advance();
    if (!here_.is_the_word("copy")) return false;
    advance();
    if (here_.is_the_symbol('(')) return read_query(found);
    const std::size_t begin = place();
    std::size_t end = begin;
    for (;;) {
      if (!at_name()) return false;
      end = place() + here_.text.size();
      advance();
      if (!here_.is_the_symbol('.')) break;
      advance();
    }
    found.source = sql_.substr(begin, end - begin);
    return true;
  }
  [[nodiscard]] bool read_query(PlainCopy& found) {
    const std::size_t begin = place() + 1;
    for (std::size_t depth = 1; depth > 0;) {
      advance();
      if (here_.kind == Token::end || here_.is_the_symbol(';')) return false;
      if (here_.is_the_symbol('(')) ++depth;
      if (here_.is_the_symbol(')')) --depth;
    }
    found.source = sql_.substr(begin, place() - begin);
    found.is_table = false;
    advance();
    return true;
  }

  [[nodiscard]] bool read_columns(PlainCopy& found) {
    if (!found.is_table || !here_.is_the_symbol('(')) return true;
    do {
      advance();
      std::optional<std::string> name = name_of(here_);
      if (!name) return false;
      found.columns.push_back(*std::move(name));
      advance();
    } while (here_.is_the_symbol(','));
    if (!here_.is_the_symbol(')')) return false;
    advance();
    return true;
  }
  // The server folds what is beyond ASCII by its locale.
  [[nodiscard]] static std::optional<std::string> name_of(const Piece& piece) {
    std::string name{piece.text};
    if (piece.kind == Token::word) {
      if (std::any_of(name.begin(), name.end(), is_beyond_ascii)) return std::nullopt;
      std::transform(name.begin(), name.end(), name.begin(), lower);
      return name;
    }
    if (piece.kind != Token::quoted || name.size() < 2 || name.front() != '"' || name.back() != '"')
      return std::nullopt;
    name = name.substr(1, name.size() - 2);
    for (std::size_t at = name.find('"'); at != std::string::npos; at = name.find('"', at + 1)) name.erase(at, 1);
    return name;
  }

  // Stands on the last word of it in the end.
  [[nodiscard]] bool read_direction(PlainCopy& found) {
    found.is_in = here_.is_the_word("from");
    if (found.is_in ? !found.is_table : !here_.is_the_word("to")) return false;
    advance();
    return here_.is_the_word(found.is_in ? "stdin" : "stdout");
  }

  Lexer lexer_;
  std::string_view sql_;
  Piece here_{};
  bool doubtful_ = false;
};

}  // namespace lido::postgres::detail
