// Whether a statement may leave something behind in its session, from its text.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <string_view>
#include <utility>

#include <lido/postgres/detail/sql/builtins.hpp>
#include <lido/postgres/detail/sql/context.hpp>
#include <lido/postgres/detail/sql/keywords.hpp>
#include <lido/postgres/detail/sql/lexer.hpp>

namespace lido::postgres::detail {

/// What a statement may leave behind in its session.
enum class Leaves : unsigned char {
  nothing,     ///< it plainly leaves nothing
  state,       ///< settings, locks, temporary tables and the like
  statements,  ///< prepared statements, too: it may do anything
  session,     ///< what stays until the session ends, DISCARD ALL or not
};

/// Walks over a script. What a word is follows from what stands around it: a function's name, a keyword, or the name of
/// something with a list of columns behind it. Wherever that cannot be told, it is a function that nobody knows.
class StateScan {
 public:
  explicit constexpr StateScan(std::string_view sql) noexcept
      : at_{sql}, may_last_{find_in_any_case(sql, "pg_") != std::string_view::npos} {}

  [[nodiscard]] constexpr Leaves scan() noexcept {
    while (at_.next()) {
      const Piece& piece = at_.piece();
      if (piece.doubtful) {
        finds(Leaves::statements);  // what looks like a text may be any statement
        return found_;
      }
      if (piece.kind == Token::symbol)
        symbol(piece.text.front());
      else if (std::exchange(begins_, false))
        begin();
      else if (piece.kind == Token::word || piece.kind == Token::quoted)
        name();
      else
        target_ = false;
      if (found_ == Leaves::session || (found_ == Leaves::statements && !may_last_)) return found_;
    }
    return found_;
  }

 private:
  /// What a parenthesis is opened by.
  enum class Group : unsigned char {
    other,
    call,      // of a function
    relation,  // FROM and the like: behind it a name may have a list of columns, as behind a call
    prefix,    // it belongs to what follows: no operator can
    options,   // of COPY: words, some of which have a list of columns
    explained,
    conflict,  // ON CONFLICT (, unless it is a call
    inserted,  // WHEN NOT MATCHED THEN INSERT (, unless it is a call
    setting,   // set_config(
  };
  struct Level {
    Group group = Group::other;
    bool with = false;  // in the list of a WITH
  };
  static constexpr std::size_t deepest = 64;

  constexpr void finds(Leaves leaves) noexcept { found_ = std::max(found_, leaves); }
  [[nodiscard]] constexpr Level& level() noexcept { return levels_[std::min(depth_, deepest - 1)]; }
  constexpr void symbol(char c) noexcept {
    if (c == '(') {
      open();
    } else if (c == ')') {
      close();
    } else if (c == ';') {
      depth_ = 0;
      levels_[0] = {};
      begins_ = true;
      verb_ = {};
      target_ = updates_ = awaits_set_ = awaits_source_ = false;
      return;
    } else if (c == ':' && at_.before().is_the_symbol(':')) {
      type_ = true;
    } else if (c != '.') {
      target_ = false;
    }
    type_ = type_ && (c == ':' || c == '.');
    awaits_into_ = false;
    if (begins_ && c != '(' && c != ')') finds(Leaves::statements);
  }

  constexpr void open() noexcept {
    target_ = false;
    const bool named = at_.before().kind == Token::word || at_.before().kind == Token::quoted;
    const bool listed =
        at_.was(0, "as materialized") || (named && (at_.before(1).is_the_symbol(',') || at_.was(1, "with recursive")));
    if (!listed) level().with = false;
    const Group group = at_.before().is_the_symbol(',') ? Group::relation : opens_;
    opens_ = Group::other;
    if (group == Group::explained) begins_ = false;
    if (++depth_ >= deepest) finds(Leaves::state);  // nobody writes that
    level() = {.group = group};
  }

  constexpr void close() noexcept {
    closed_ = level().group;
    if (depth_ > 0) --depth_;
    if (closed_ == Group::explained) begins_ = true;
    // ON CONFLICT (a) WHERE ... could be a join, too.
    if (closed_ == Group::conflict && !at_.ahead().is_the_word("do")) finds(Leaves::state);
    if (closed_ == Group::inserted &&
        !(at_.ahead().kind == Token::word && is_one_of(at_.ahead().text, "values overriding")))
      finds(Leaves::state);
    if (closed_ == Group::setting) {
      // A plain `true` at the end: as SET LOCAL.
      if (!at_.was(0, "true") || !at_.before(1).is_the_symbol(',')) finds(Leaves::state);
      closed_ = Group::call;
    }
  }

  // The first word of a statement.
  constexpr void begin() noexcept {
    constexpr std::string_view harmless =
        "select insert update delete merge values table begin start commit end rollback abort savepoint release show "
        "copy lock truncate notify";
    constexpr std::string_view plain =
        "set reset listen unlisten declare fetch move close create alter drop comment grant revoke analyze analyse "
        "vacuum reindex cluster refresh checkpoint discard deallocate";
    const std::string_view word = at_.piece().text;
    if (at_.piece().kind != Token::word) return finds(Leaves::statements);
    if (is(word, "explain")) {
      begins_ = true;
      explains_ = true;
      opens_ = at_.calls() ? Group::explained : Group::other;
    } else if (explains_ && is_one_of(word, "analyze analyse verbose")) {
      begins_ = true;
    } else if (is(word, "with")) {
      level().with = true;
    } else if (is_one_of(word, harmless)) {
      verb();
    } else if (!is(word, "set") || !ends_with_transaction()) {
      finds(is_one_of(word, plain) ? Leaves::state : Leaves::statements);
    }
    if (!begins_) explains_ = false;
  }

  // SET LOCAL and its like, and not a setting of that name.
  [[nodiscard]] constexpr bool ends_with_transaction() const noexcept {
    if (at_.ahead().kind != Token::word || !is_one_of(at_.ahead().text, "local transaction constraints")) return false;
    const Piece next = at_.behind();
    return next.kind == Token::quoted || (next.kind == Token::word && !is(next.text, "to"));
  }

  // SELECT and its like, whether a statement begins with it, or a part of one.
  constexpr void verb() noexcept {
    const std::string_view word = at_.piece().text;
    if (depth_ == 0 && verb_.empty()) verb_ = word;
    level().with = false;
    awaits_into_ = is_one_of(word, "insert merge");
    if (is(word, "insert")) awaits_source_ = true;
    if (is(word, "update")) updates_ = awaits_set_ = true;
    if (is(word, "copy")) target_ = !at_.calls();
  }

  constexpr void name() noexcept {
    const bool awaits_into = std::exchange(awaits_into_, false), type = std::exchange(type_, false);
    const bool qualified = at_.before().is_the_symbol('.'), qualifies = at_.ahead().is_the_symbol('.');
    if (qualifies) {
      type_ = type;
      return;
    }
    if (updates_ && may_be_the_settings()) finds(Leaves::state);
    // What is called may be in front of it.
    if (at_.piece().is_the_word("uescape") && at_.before().kind == Token::quoted) finds(Leaves::state);
    if (at_.piece().kind == Token::word && !qualified && keyword(awaits_into)) return;
    if (!at_.calls()) return;
    if (std::exchange(target_, false) || type || at_.was(0, "as") || level().group == Group::options) return;
    if (level().with && (at_.was(0, "with recursive") || at_.before().is_the_symbol(','))) return;
    if (at_.was(0, "ordinality") && at_.was(1, "with")) return;
    if (at_.was(0, "not") && at_.was(1, "as")) return;  // MATERIALIZED
    const bool attached = at_.before().is_the_symbol(')') && (closed_ == Group::call || closed_ == Group::relation);
    if (attached) {
      if (at_.piece().kind == Token::word && is_one_of(at_.piece().text, "over filter")) opens_ = Group::call;
      return;
    }
    call(qualified);
  }

  // The view whose UPDATE is a SET.
  [[nodiscard]] constexpr bool may_be_the_settings() const noexcept {
    if (at_.piece().kind == Token::word) return is(at_.piece().text, "pg_settings");
    return at_.piece().text == "\"pg_settings\"" || !at_.piece().text.starts_with('"');  // U&"..."
  }

  // True: it is one, and whatever is to be known about it is known.
  constexpr bool keyword(bool awaits_into) noexcept {
    const std::string_view word = at_.piece().text;
    if (is(word, "into")) {
      // Else it makes a table, which may be a temporary one: a schema's name does not tell.
      if (!awaits_into) finds(Leaves::state);
      target_ = awaits_into && !is(verb_, "merge");
      return true;
    }
    if (level().with && is_one_of(word, "select insert update delete merge values table") &&
        !at_.ahead().is_the_word("as") && (!at_.calls() || is_one_of(word, "select values"))) {
      const bool updates = is(word, "update");
      verb();
      if (updates) awaits_set_ = at_.is_table_ahead();
      return true;
    }
    if (at_.before().is_the_symbol('(')) {
      if (is(word, "with")) return level().with = true;
      if (is(word, "insert") && at_.ahead().is_the_word("into")) return awaits_into_ = true;
      if (is(word, "update") && at_.is_table_ahead()) return updates_ = awaits_set_ = true;
    }
    if (std::exchange(awaits_source_, awaits_source_ && !is_one_of(word, "with select values default table")) &&
        is(word, "with"))
      return level().with = depth_ == 0;
    if (is(word, "set") && (std::exchange(awaits_set_, false) || (at_.was(0, "update") && at_.was(1, "do then"))))
      return true;
    // `treat(x as name)` calls the server's own function of that name.
    if (is(word, "treat") && at_.calls()) finds(Leaves::state);
    if (is_builtin(word, no_function_names)) {
      target_ = target_ && is(word, "as");
      opens_ = !at_.calls()                                 ? Group::other
               : is_one_of(word, "from lateral using")      ? Group::relation
               : is(word, "group") && at_.was(0, "within")  ? Group::call
               : is(word, "with") && is(verb_, "copy")      ? Group::options
               : is(word, "with") || at_.was(0, "distinct") ? Group::prefix
                                                            : Group::other;
      return true;
    }
    return false;
  }
  // A word and a parenthesis, which is a call of a function unless it is one of the constructs that are written alike.
  constexpr void call(bool qualified) noexcept {
    const std::string_view word = at_.piece().text;
    opens_ = Group::call;
    if (at_.piece().kind == Token::word && qualified) {
      if (at_.was(1, "pg_catalog") && is_builtin(word, harmless_functions)) return;
    } else if (at_.piece().kind == Token::word) {
      if (is(word, "by") && at_.was(0, "group order partition")) return void(opens_ = Group::other);
      if (is_one_of(word, "rollup cube") && at_.was(0, "by") && at_.was(1, "group")) return void(opens_ = Group::other);
      if (is(word, "sets") && at_.was(0, "grouping")) return void(opens_ = Group::other);
      if (is(word, "varying") && at_.was(0, "character char nchar bit")) return;
      if (is(word, "zone") && at_.was(0, "time")) return void(opens_ = Group::other);
      if (is(word, "set_config")) return void(opens_ = Group::setting);
      if (is(verb_, "copy") && is_one_of(word, "stdin stdout") && depth_ == 0 && at_.was(0, "from to") &&
          !at_.was(1, "distinct"))
        return void(opens_ = Group::options);
      if (is(verb_, "insert") && is(word, "conflict") && at_.was(0, "on")) return void(opens_ = Group::conflict);
      if (is(verb_, "merge") && is(word, "insert") && at_.was(0, "then")) return void(opens_ = Group::inserted);
      if (is_builtin(word, harmless_functions)) return;
      if (is_builtin(word, operator_keywords) && at_.is_operand_before(is(word, "join"), closed_ != Group::prefix))
        return void(opens_ = is(word, "join") ? Group::relation : Group::other);
    }
    const bool plainly_quoted = at_.piece().kind == Token::quoted && word.size() > 2 && word.front() == '"';
    const std::string_view function = plainly_quoted ? word.substr(1, word.size() - 2) : word;
    finds(is_one_of(function, lasting_functions) ? Leaves::session : Leaves::state);
  }
  Context at_;
  bool may_last_;  // a function may be called of which more stays than DISCARD ALL takes away
  std::array<Level, deepest> levels_{};
  std::size_t depth_ = 0;
  std::string_view verb_{};  // of the statement
  Leaves found_ = Leaves::nothing;
  Group opens_ = Group::other;   // the parenthesis that follows
  Group closed_ = Group::other;  // the last parenthesis
  bool begins_ = true;           // a statement begins here
  bool explains_ = false;        // it is one behind EXPLAIN
  bool target_ = false;          // behind INSERT INTO and COPY: a list of columns may follow
  bool updates_ = false;         // there was an UPDATE
  bool type_ = false;            // behind `::`
  bool awaits_into_ = false;     // behind INSERT and MERGE
  bool awaits_source_ = false;   // of INSERT: its query or values
  bool awaits_set_ = false;      // of UPDATE
};

/// `nothing` only if `sql` plainly leaves nothing behind in the session: it reads and writes rows or controls a
/// transaction, and every function that it names is one of PostgreSQL's own that change no session state. What no text
/// can tell is not seen: see `ResetLevel::targeted`. Complexity: linear.
[[nodiscard]] constexpr Leaves leaves_behind(std::string_view sql) noexcept { return StateScan{sql}.scan(); }

[[nodiscard]] constexpr bool may_leave_state(std::string_view sql) noexcept {
  return leaves_behind(sql) != Leaves::nothing;
}

}  // namespace lido::postgres::detail
