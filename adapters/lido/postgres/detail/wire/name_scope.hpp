// What the names and literals in a statement mean: the search_path and the role of a session, and other settings that a
// statement is read by, as far as they are known.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <libpq-fe.h>

#include <lido/postgres/detail/sql/builtins.hpp>
#include <lido/postgres/detail/sql/context.hpp>
#include <lido/postgres/detail/sql/keywords.hpp>
#include <lido/postgres/detail/sql/lexer.hpp>
#include <lido/postgres/detail/sql/reading.hpp>
#include <lido/postgres/detail/sql/session_state.hpp>
#include <lido/postgres/detail/values/bound.hpp>

namespace lido::postgres::detail {

/// What a statement may do to the meaning of names and literals.
enum class Renames : unsigned char {
  nothing,  ///< it plainly leaves it
  local,    ///< until the transaction ends
  session,  ///< for longer, perhaps
  resets,   ///< and whatever was set may not be any more
  hides,    ///< and something may be made under a name that means something else so far
  untold,   ///< and something may be set that nobody asks for
};

/// Behind SET LOCAL: a setting is plainly another one.
[[nodiscard]] constexpr bool sets_another(Lexer lexer) noexcept {
  if (!lexer.next_solid().is_the_word("local")) return true;  // as SET TRANSACTION
  const Piece name = lexer.next_solid();
  return name.kind == Token::word && !is_read_by(name.text);
}

/// Whether what a single statement leaves in its session is only of sequences and advisory locks.
[[nodiscard]] constexpr bool counts_or_locks(std::string_view sql) noexcept {
  constexpr std::string_view plain =
      "nextval setval currval lastval pg_advisory_lock pg_advisory_lock_shared pg_try_advisory_lock "
      "pg_try_advisory_lock_shared pg_advisory_unlock pg_advisory_unlock_shared pg_advisory_unlock_all";
  if (!is_one_of(first_word(sql), "select insert update delete values")) return false;
  bool found = false;
  Context at{sql};
  while (at.next()) {
    const Piece& piece = at.piece();
    if (piece.is_the_symbol(';') && at.ahead().kind != Token::end) return false;
    if (piece.doubtful || (piece.kind == Token::quoted && !is_one_of(at.ahead().text, ") , = ;"))) return false;
    if (piece.is_the_word("pg_settings")) return false;
    if (piece.kind != Token::word || !at.calls() || at.was(0, "into")) continue;
    if (at.before().is_the_symbol('.')) return false;
    if (is_one_of(piece.text, plain))
      found = true;
    else if (is(piece.text, "treat") ||
             (!is_builtin(piece.text, harmless_functions) && !is_builtin(piece.text, no_function_names)))
      return false;
  }
  return found;
}

/// Whether a statement of `sql` makes or renames something.
[[nodiscard]] constexpr bool makes_names(std::string_view sql) noexcept {
  bool begins = true;
  Context at{sql};
  while (at.next()) {
    const Piece& piece = at.piece();
    if (begins && piece.kind == Token::word && is_one_of(piece.text, "create import")) return true;
    if (piece.is_the_word("rename") || (piece.is_the_word("schema") && at.was(0, "set"))) return true;
    if (piece.is_the_word("into") && !at.before().is_the_word("insert") && !at.before().is_the_word("merge"))
      return true;
    begins = piece.is_the_symbol(';');
  }
  return false;
}

/// From the text of a statement or script, and from what it leaves in the session. Where the text cannot tell, as of a
/// function that nobody knows, it may do anything but make a name. Complexity: linear.
[[nodiscard]] constexpr Renames renames(std::string_view sql, Leaves leaves) noexcept {
  constexpr std::string_view others =
      "listen unlisten close comment grant revoke analyze analyse vacuum reindex cluster checkpoint deallocate drop";
  const auto of_unknown = [&] {
    if (names_untold(sql)) return Renames::untold;
    if (makes_names(sql)) return Renames::hides;
    return resets_all(sql) ? Renames::resets : Renames::session;
  };
  if (leaves >= Leaves::statements) return of_unknown();
  const bool other = leaves == Leaves::state && is_one_of(first_word(sql), others);
  if (leaves == Leaves::state && !other) {
    if (counts_or_locks(sql)) return Renames::nothing;
    return of_unknown();
  }
  Renames found = Renames::nothing;
  bool begins = true;  // a statement
  Lexer lexer{sql};
  for (Piece piece = lexer.next_solid(); piece.kind != Token::end; piece = lexer.next_solid()) {
    const bool semicolon = piece.is_the_symbol(';');
    // What is behind one of the others may be anything, and so may what is quoted by its code points.
    if (piece.doubtful || (other && begins && !is_one_of(piece.text, others)) ||
        (piece.kind == Token::quoted && !piece.text.starts_with('"')))
      return Renames::hides;
    const bool calls = piece.is_the_word("set_config") || piece.text == "\"set_config\"";
    if (calls || (begins && piece.is_the_word("set") && !sets_another(lexer))) found = Renames::local;
    begins = semicolon;
  }
  return found == Renames::local && names_untold(sql) ? Renames::untold : found;
}

/// Whether a parameter of a statement that may do that is the name of a setting that nobody asks for.
[[nodiscard]] inline bool binds_untold(Renames what, const Bound& bound) noexcept {
  for (int i = 0; what != Renames::nothing && i < bound.count; ++i) {
    const bool text = bound.values[i] != nullptr && (bound.formats == nullptr || bound.formats[i] == 0);
    if (text && is_one_of(bound.values[i], untold_settings)) return true;
  }
  return false;
}

/// Whether a statement may drop what is prepared, from its first word.
[[nodiscard]] constexpr bool drops_prepared(std::string_view sql) noexcept {
  return is_one_of(first_word(sql), "deallocate discard");
}
/// Whether it may change what prepared statements are about, from its first word.
[[nodiscard]] constexpr bool redefines(std::string_view sql) noexcept {
  return is_one_of(first_word(sql), "alter create drop");
}
/// Whether it may end a transaction, or go back in it, and with that what SET LOCAL has set.
[[nodiscard]] constexpr bool ends_local(std::string_view sql) noexcept {
  return is_one_of(first_word(sql), "commit end rollback abort prepare");
}

/// What the text of a statement tells.
struct Classified {
  Leaves leaves = Leaves::nothing;
  Renames renames = Renames::nothing;
  bool literals = false;
};
[[nodiscard]] inline Classified classify(std::string_view sql) noexcept {
  const Leaves leaves = leaves_behind(sql);
  return {.leaves = leaves, .renames = renames(sql, leaves), .literals = has_literals(sql)};
}

/// A number that is another one, but for chance, where one of the settings is that the server tells of by itself.
[[nodiscard]] inline std::uint64_t told_by(const PGconn* connection) noexcept {
  std::uint64_t hash = 0;
  for (const char* setting : told_settings) {
    const char* const value = PQparameterStatus(connection, setting);
    hash = hash * 1'099'511'628'211U + std::hash<std::string_view>{}(value == nullptr ? "" : value);
  }
  return hash;
}

/// Follows these settings through the transactions of a session. What they are is a text that is the same only where
/// they are the same; the first is empty.
class NameScope {
 public:
  /// Null: nobody knows.
  [[nodiscard]] const std::string* known() const noexcept { return present_ ? &*present_ : nullptr; }

  /// To be told before each statement, with the status of the transaction then: whether one has ended meanwhile.
  [[gnu::noinline]] void look(PGTransactionStatusType status) {
    if (status == PQTRANS_IDLE && (session_ || local_)) {
      present_ = session_ ? std::nullopt : std::exchange(outer_, std::nullopt);
      session_ = local_ = inside_ = false;
    } else if (ended_) {  // it went back to a savepoint, or another one began
      present_.reset();
      session_ = true;
    }
    if (untold_ && !present_) made_ = ++last_made_;
    ended_ = false;
  }
  /// A transaction has begun with these settings of them; empty: with none.
  void begins(std::string_view given) {
    if (given.empty() && !local_) return;
    enter();
    present_ = outer_;
    inside_ = false;
    if (present_) present_->append(given);
  }
  /// A statement is about to run.
  void runs(Renames what) {
    if (what == Renames::nothing) return;
    enter();
    inside_ = true;
    session_ = session_ || what >= Renames::session;
    if (what >= Renames::hides || (untold_ && what == Renames::resets)) made_ = ++last_made_;
    untold_ = untold_ || what == Renames::untold;
    present_.reset();
  }
  /// A COMMIT or a ROLLBACK has been; `undo`: the library's own, to a savepoint.
  void ends(bool undo) noexcept { ended_ = ended_ || ((local_ || session_) && (!undo || inside_)); }
  /// The server said what they are, which is canonical. Not where a COMMIT or ROLLBACK came behind that.
  void found(std::string present, PGTransactionStatusType status) {
    if (ended_) return;
    present_ = std::move(present);
    if (status == PQTRANS_IDLE) session_ = local_ = inside_ = ended_ = false;
  }
  /// They are what they were at first.
  void reset() {
    NameScope again;
    again.first_ = std::move(first_);
    again.last_made_ = last_made_;
    *this = std::move(again);
  }
  /// They are what they were at first, and nobody has asked what that is.
  [[nodiscard]] bool wants_first() const noexcept { return !first_ && present_ && present_->empty(); }
  void found_first(std::string first) { first_ = std::move(first); }
  /// What the server said, as it is written here.
  [[nodiscard]] std::string canonical(std::string said) const {
    if (said == first_) said.clear();
    if (made_ > 0) said.append(1, '\0').append(std::to_string(made_));
    return said;
  }

 private:
  void enter() {
    if (!std::exchange(local_, true)) outer_ = present_;
  }

  std::optional<std::string> present_ = std::string{};
  std::optional<std::string> outer_{};  // after the transaction
  std::optional<std::string> first_{};  // as the server says it
  // What was made may hide what a statement was prepared with, of which the server takes no notice. So each time is
  // another scope; zero: nothing was, since the session was reset.
  std::uint64_t made_ = 0, last_made_ = 0;
  bool untold_ = false;   // something was set that nobody asks for: whatever may end that begins another scope
  bool local_ = false;    // they are other ones in this transaction than after it,
  bool inside_ = false;   // since one of its statements and not since it began,
  bool session_ = false;  // or perhaps after it too
  bool ended_ = false;    // a COMMIT or a ROLLBACK was seen
};

}  // namespace lido::postgres::detail
