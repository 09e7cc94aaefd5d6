// Whether a statement may leave something behind in its session, from its text.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string_view>

#include <lido/postgres/detail/sql/lexer.hpp>

namespace lido::postgres::detail {

/// The length of the quoted literal that `text` begins with, both quotes included.
[[nodiscard]] constexpr std::size_t quoted_length(std::string_view text, bool escapes) noexcept {
  const char quote = text.front();
  std::size_t at = 1;
  while (at < text.size()) {
    const bool doubled = text[at] == quote && at + 1 < text.size() && text[at + 1] == quote;  // stands for itself
    if (doubled || (escapes && text[at] == '\\')) {
      at += 2;
    } else if (text[at] != quote) {
      ++at;
    } else {
      return at + 1;
    }
  }
  return text.size();
}

/// The length of the comment that `text` begins with, up to the end of its line or its last `*/`; 0 where it is none.
[[nodiscard]] constexpr std::size_t comment_length(std::string_view text) noexcept {
  if (text.starts_with("--")) return std::min(text.find_first_of("\n\r"), text.size());
  if (!text.starts_with("/*")) return 0;
  std::size_t at = 0, depth = 0;  // they nest
  do {
    const std::string_view two = text.substr(at, 2);
    if (two == "/*") ++depth;
    if (two == "*/") --depth;
    at += two == "/*" || two == "*/" ? 2U : 1U;
  } while (depth > 0 && at < text.size());
  return at;
}

/// Walks over the words of a statement, skipping comments and literals.
class Words {
 public:
  explicit constexpr Words(std::string_view text) noexcept : text_{text} {}

  /// What `next()` found.
  enum class Kind : unsigned char { end, word, quoted, semicolon, dot, other };

  /// Moves to the next token. Complexity: linear in the token and the space before it.
  constexpr Kind next() noexcept {
    skip_blank();
    const std::size_t start = at_;
    if (at_ == text_.size()) return Kind::end;
    const char c = text_[at_];
    if (c == ';') return ++at_, Kind::semicolon;
    if (c == '.') return ++at_, Kind::dot;
    if (c == '\'') return skip_quoted(false), Kind::other;
    if (c == '"') return skip_quoted(false), Kind::quoted;
    if (c == '$' && !is_digit(peek(1))) return skip_dollar(), Kind::other;
    if (!is_word(c)) return ++at_, Kind::other;
    while (is_word(peek(0))) ++at_;
    word_ = text_.substr(start, at_ - start);
    // Behind any other word a literal begins of its own, without a space: do'...'.
    if (peek(0) == '\'' && is_one_of("e b x n")) return skip_quoted(is("e")), Kind::other;
    return Kind::word;
  }

  /// Whether the present word is `expected`, which is in lower case.
  [[nodiscard]] constexpr bool is(std::string_view expected) const noexcept {
    return word_.size() == expected.size() &&
           std::equal(word_.begin(), word_.end(), expected.begin(), [](char a, char b) { return lower(a) == b; });
  }
  /// Whether it is in `list`, lower-case words separated by one space.
  [[nodiscard]] constexpr bool is_one_of(std::string_view list) const noexcept {
    while (!list.empty()) {
      const std::string_view one = list.substr(0, list.find(' '));
      if (is(one)) return true;
      list.remove_prefix(std::min(list.size(), one.size() + 1));
    }
    return false;
  }
  /// The next character that is not blank, or zero.
  [[nodiscard]] constexpr char following() noexcept {
    skip_blank();
    return peek(0);
  }

 private:
  [[nodiscard]] constexpr char peek(std::size_t ahead) const noexcept {
    return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0';
  }

  constexpr void skip_blank() noexcept {
    for (;;) {
      if (is_space(peek(0)))
        ++at_;
      else if (const std::size_t comment = comment_length(text_.substr(at_)); comment > 0)
        at_ += comment;
      else
        return;
    }
  }

  constexpr void skip_quoted(bool escapes) noexcept {
    at_ = std::min(at_ + quoted_length(text_.substr(at_), escapes), text_.size());
  }

  constexpr void skip_dollar() noexcept {
    const std::size_t end = text_.find('$', at_ + 1);
    if (end == std::string_view::npos) return void(++at_);
    const std::string_view tag = text_.substr(at_, end + 1 - at_);
    const std::size_t close = text_.find(tag, end + 1);
    at_ = close == std::string_view::npos ? text_.size() : close + tag.size();
  }

  std::string_view text_;
  std::string_view word_;
  std::size_t at_ = 0;
};

/// What a statement may leave behind in its session.
enum class Leaves : unsigned char {
  nothing,     ///< it plainly leaves nothing
  state,       ///< settings, locks, temporary tables and the like, but no prepared statement
  statements,  ///< prepared statements, too: it may do anything
};

/// Behind SET: what follows is undone by the end of the transaction.
[[nodiscard]] constexpr bool ends_with_transaction(Words words) noexcept {
  return words.next() == Words::Kind::word && words.is_one_of("local transaction constraints");
}

/// `nothing` only if `sql` plainly leaves nothing behind in the session: it reads and writes rows or controls a
/// transaction, and every function that it names is known to change no session state.
[[nodiscard]] constexpr Leaves leaves_behind(std::string_view sql) noexcept {
  constexpr std::string_view verbs =
      "select insert update delete merge values with table begin start commit end rollback abort savepoint "
      "release show explain copy lock truncate notify";
  constexpr std::string_view plain_verbs =
      "set reset listen unlisten declare fetch move close create alter drop comment grant revoke "
      "analyze vacuum reindex cluster refresh checkpoint discard deallocate";
  constexpr std::string_view temporary = "temp temporary pg_temp";
  // Keywords that a parenthesis may follow, and functions without any effect on the session.
  constexpr std::string_view harmless =
      "values in and or not as on using from select where by any some all exists over filter case when then "
      "else returning array row union except intersect join lateral like ilike between is having conflict "
      "with explain limit offset distinct materialized set numeric decimal varchar char interval count sum "
      "avg min max coalesce nullif greatest least now lower upper length trim substring replace position "
      "concat format md5 abs round floor ceil cast extract to_char date_trunc clock_timestamp row_number "
      "rank dense_rank lag lead first_value random generate_series unnest array_agg string_agg json_agg "
      "jsonb_agg to_json to_jsonb json_build_object jsonb_build_object row_to_json gen_random_uuid pg_sleep "
      "pg_backend_pid current_setting txid_current pg_advisory_xact_lock pg_notify repeat copy stdin stdout "
      "force_quote force_null force_not_null";
  // Functions that change the session, but prepare nothing.
  constexpr std::string_view plain_functions =
      "set_config nextval setval currval lastval pg_advisory_lock pg_advisory_lock_shared pg_try_advisory_lock "
      "pg_try_advisory_lock_shared pg_advisory_unlock pg_advisory_unlock_shared pg_advisory_unlock_all";
  Words words{sql};
  Leaves found = Leaves::nothing;
  bool first = true;       // of its statement
  bool table = false;      // after INTO and COPY: the parenthesis opens a list of columns
  bool qualified = false;  // after a dot: a name of the user's, whatever it looks like
  for (;;) {
    switch (words.next()) {
      case Words::Kind::end:
        return found;
      case Words::Kind::semicolon:
        first = true;
        break;
      case Words::Kind::quoted:
        if (words.following() == '(' && !table) return Leaves::statements;
        if (words.following() != '.') table = false;
        first = false;
        break;
      case Words::Kind::word:
        if (first && !words.is_one_of(verbs) && !(words.is("set") && ends_with_transaction(words))) {
          if (!words.is_one_of(plain_verbs)) return Leaves::statements;
          found = Leaves::state;
        }
        if (words.is("prepare") || words.is("prepared")) return Leaves::statements;
        if (words.is_one_of(temporary)) found = Leaves::state;
        if (words.following() == '(' && !table && (qualified || !words.is_one_of(harmless))) {
          if (qualified || !words.is_one_of(plain_functions)) return Leaves::statements;
          found = Leaves::state;
        }
        if (words.is("into") || (first && words.is("copy"))) {
          table = words.following() != '(';
        } else if (words.following() != '.') {
          table = false;
        }
        first = false;
        qualified = false;
        break;
      case Words::Kind::dot:
        qualified = true;
        break;
      case Words::Kind::other:  // `(select ...)` opens a statement too
      default:
        qualified = false;
        break;
    }
  }
}

[[nodiscard]] constexpr bool may_leave_state(std::string_view sql) noexcept {
  return leaves_behind(sql) != Leaves::nothing;
}

}  // namespace lido::postgres::detail
