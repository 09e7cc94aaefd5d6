// What may be shown of a statement, or of a message that may quote one. A value in there may be an attacker's: one
// pass, no recursion.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>

#include <lido/postgres/detail/sql/lexer.hpp>

namespace lido::postgres::detail {

/// Copies a statement, or a message, without what stands behind the word `password` in it. Complexity: linear.
class WithoutPasswords {
 public:
  [[nodiscard]] static std::string of(std::string_view text) {
    if (find_word(text) == std::string_view::npos) return std::string{text};
    WithoutPasswords copy;
    copy.statement(text);
    return std::move(copy.shown_);
  }

 private:
  static constexpr std::string_view word = "password";
  [[nodiscard]] static std::size_t find_word(std::string_view text) noexcept { return find_in_any_case(text, word); }

  void statement(std::string_view text) {
    Lexer lexer{text};
    defines_role_ = defines_role(text);
    for (Piece piece = lexer.next(); piece.kind != Token::end; piece = lexer.next()) {
      if (piece.doubtful) return void(shown_ += "'***");  // whatever follows may be a part of it
      switch (piece.kind) {
        case Token::literal:
          literal(piece.text);
          break;
        case Token::comment:
          text_of_another(piece.text);
          break;
        case Token::quoted:
          text_of_another(piece.text);
          if (find_word(piece.text) != std::string_view::npos) value(lexer, true);
          break;
        case Token::word:
          shown_ += piece.text;
          if (find_word(piece.text) == std::string_view::npos) break;
          met_ = true;
          value(lexer);
          break;
        default:
          shown_ += piece.text;
          if (met_ && piece.is_the_symbol(')')) key(lexer);
      }
    }
  }

  // Whatever it is used for: only the server knows where a password goes to.
  void literal(std::string_view text) {
    if (met_) return void(shown_ += "'***'");
    if (!text.starts_with('$')) {
      const bool ends = text.size() > 1 && text.ends_with('\'');
      text_of_another(text.substr(0, text.size() - (ends ? 1 : 0)));
      if (ends) shown_ += '\'';
      return;
    }
    const std::size_t found = find_word(text);
    if (found == std::string_view::npos) return void(shown_ += text);
    // Mostly a function's body, which has literals of its own.
    met_ = true;
    (shown_ += text.substr(0, found + word.size())) += " ***";
    const std::string_view tag = text.substr(0, text.find('$', 1) + 1);
    if (text.ends_with(tag)) shown_ += tag;
  }

  // A literal, a name or a comment: what is quoted in there is quoted in a way of its own, and goes with the rest.
  void text_of_another(std::string_view text) {
    if (!met_) {
      const std::size_t found = find_word(text);
      if (found == std::string_view::npos) return void(shown_.append(text));
      met_ = true;
      shown_.append(text.substr(0, found));
      text.remove_prefix(found);
    }
    for (std::size_t found = find_word(text); found != std::string_view::npos; found = find_word(text)) {
      const std::size_t end = found + word.size();
      if (text.substr(0, end).find('\'') != std::string_view::npos) break;
      shown_.append(text.substr(0, end));
      text.remove_prefix(end);
      if (is_json(text)) return void(shown_ += "***");
      if (!assignment(text)) continue;
      std::size_t length = 0;  // as libpq reads it, where a backslash escapes a blank, and another one a backslash
      for (bool escaped = false; length < text.size() && text[length] != '\''; ++length) {
        if (is_space(text[length]) && !escaped) break;
        escaped = text[length] == '\\';
      }
      if (length > 0) shown_ += "***";
      text.remove_prefix(length);
    }
    const std::size_t quote = text.find('\'');
    shown_.append(text.substr(0, quote));
    if (quote != std::string_view::npos) shown_ += "***";
  }

  // Behind the word: takes an assignment off `text`, and says whether there was one.
  bool assignment(std::string_view& text) {
    std::size_t at = 0;
    bool assigned = false;
    for (; at < text.size() && (is_space(text[at]) || text[at] == '=' || text[at] == ':' || text[at] == '>'); ++at)
      assigned = assigned || text[at] == '=';
    shown_.append(text.substr(0, at));
    text.remove_prefix(at);
    return assigned;
  }

  [[nodiscard]] static bool defines_role(std::string_view text) noexcept {
    Lexer lexer{text};
    const Piece verb = lexer.next_solid(), kind = lexer.next_solid();
    return (verb.is_the_word("create") || verb.is_the_word("alter")) && kind.kind == Token::word &&
           is_one_of(kind.text, "role user group");
  }

  // Behind the word: it is a key, and a value follows.
  [[nodiscard]] static bool is_json(std::string_view text) noexcept {
    const std::size_t at = text.find_first_not_of("\"\\ \t\n\r");
    return at > 0 && at != std::string_view::npos && text[at] == ':';
  }

  // Behind the word in a statement: takes out a value that is no literal, which the next token is.
  void value(Lexer& lexer, bool quoted = false) {
    std::string_view rest = lexer.rest();
    bool assigned = assignment(rest);
    const std::string_view between = lexer.rest().substr(0, lexer.rest().size() - rest.size());
    assigned = assigned || (quoted && std::count(between.begin(), between.end(), ':') == 1);  // JSON, and no cast
    lexer.skip(between.size());
    Lexer next = lexer;
    const Piece first = next.next();
    if (first.kind == Token::quoted && !assigned) {  // a mistake for a literal, or an alias
      shown_ += "\"***\"";
      lexer = next;
      return;
    }
    if (first.is_the_word("to")) {
      const Piece blank = next.next();
      (shown_ += first.text) += blank.text;
      lexer = next;
      assigned = blank.kind == Token::blank;
    }
    if (!assigned && !defines_role_) return;
    bool taken = false;
    for (Lexer ahead = lexer;; lexer = ahead, taken = true) {
      const Piece piece = ahead.next();
      const std::string_view behind = ahead.rest().substr(0, 1);
      const bool kept = piece.kind == Token::parameter && !taken &&
                        (behind.empty() || is_space(behind.front()) || behind.find_first_of("),;:|&") == 0);
      if (kept || piece.kind == Token::end || piece.kind == Token::blank || piece.kind == Token::comment ||
          piece.kind == Token::literal || piece.is_the_symbol('&') || piece.is_the_symbol(';') ||
          piece.is_the_symbol(')'))
        break;
    }
    if (taken) shown_ += "***";
  }

  // `Key (name, password)=(x, y) already exists.` A value may have any parenthesis.
  void key(Lexer& lexer) {
    constexpr std::string_view begin = "=(";
    const std::string_view rest = lexer.rest();
    if (!rest.starts_with(begin)) return;
    (shown_ += begin) += "***";
    lexer.skip(std::min(rest.rfind(')'), rest.size()));
  }

  std::string shown_;
  bool met_ = false;           // the word
  bool defines_role_ = false;  // behind the word is the value, whatever it is
};

/// Copies a text without the passwords in the URLs that it has: what stands between `://user:` and `@`, whatever it is,
/// but for a line's end. `cut`: the text goes on, and a password may. Complexity: linear, as each search begins where
/// the last one ended.
[[nodiscard]] inline std::string without_url_passwords(std::string text, bool cut = false) {
  constexpr auto none = std::string::npos;
  constexpr std::string_view scheme_end = "://";
  std::string shown;
  std::size_t copied = 0;
  for (std::size_t at = text.find(scheme_end); at != none; at = text.find(scheme_end, at)) {
    const std::size_t user = at + scheme_end.size();
    at = text.find_first_of(":/?#'\"[ \t\n\r", user);  // the end of the user's name, or of the host's
    if (at == none) break;
    if (text[at] != ':') continue;
    const std::size_t begin = at + 1;
    at = text.find_first_not_of("0123456789", begin);
    if (at == none && !cut) break;
    const bool may_be_a_port =
        std::string_view{text}.substr(user, begin - user).find('@') != none ||
        (at != none && std::string_view{" \t\n\r/?#,;.'\"()[]{}<>|&"}.find(text[at]) != std::string_view::npos &&
         (at > begin || is_space(text[at])));
    if (may_be_a_port && at != none) {  // unless a host follows
      std::size_t end = text.find_first_of("@/?#'\" \t\n\r", at);
      while (end != none && text.compare(end, 2, "''") == 0) end = text.find_first_of("@/?#'\" \t\n\r", end + 2);
      if (end == none ? !cut : text[end] != '@') continue;
    }
    if (at != none) at = text.find_first_of("@\n\r", at);
    if (at == none && !cut) break;
    if (at != none && text[at] != '@') continue;
    // Where it was not encoded, a password may have the character itself.
    for (std::size_t next = at; next != none && text[next] == '@'; next = text.find_first_of("@/?#'\" \t\n\r", at + 1))
      at = next;
    shown.append(text, copied, begin - copied).append("***");
    copied = std::min(at, text.size());
    if (at == none) break;
  }
  return copied == 0 ? std::move(text) : std::move(shown.append(text, copied));
}

/// `text` with every occurrence of `secret` replaced. Complexity: linear in `text`.
[[nodiscard, gnu::noinline]] inline std::string without_secret(std::string text, std::string_view secret) {
  // Shorter ones would turn messages into riddles and give the secret away by where the stars are.
  if (secret.size() < 4) return text;
  std::string shown;
  std::size_t behind = 0;
  for (std::size_t at = text.find(secret); at != std::string::npos; at = text.find(secret, behind)) {
    shown.append(text, behind, at - behind) += "***";
    behind = at + secret.size();
  }
  return behind == 0 ? text : shown.append(text, behind);
}

/// What is longer is cut before it is looked at: nobody reads it, and each failure would copy it.
inline constexpr std::size_t longest_shown = 65'536;

/// `text` with each literal behind the first `password`, whatever follows a `=` behind one, and the passwords of URLs
/// replaced by `***`. Of a very long text it is the beginning. `cut`: the text goes on.
[[nodiscard]] inline std::string without_passwords(std::string_view text, bool cut = false) {
  if (text.size() <= longest_shown) return without_url_passwords(WithoutPasswords::of(text), cut);
  std::size_t end = longest_shown;
  while (end > longest_shown - 4 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U)
    --end;  // a character stays whole
  return without_url_passwords(WithoutPasswords::of(text.substr(0, end)), true) + "...";
}

/// The begin of a statement, which is kept beside its result,
inline constexpr std::size_t longest_kept = 256;
[[nodiscard]] inline std::string_view kept_of(std::string_view sql) noexcept { return sql.substr(0, longest_kept); }
/// and what may be shown of that.
[[nodiscard]] inline std::string shown_of_kept(std::string_view kept) {
  return without_passwords(kept, kept.size() == longest_kept);
}

/// A message about `sql` without what it quotes of that, where `shown`, which is all that may be shown of it, has it
/// not.
[[nodiscard]] inline std::string without_quoted(std::string message, std::string_view sql, std::string_view shown) {
  const std::size_t first = message.find('"'), last = message.rfind('"');
  if (first == last) return message;
  const auto has = [&,
                    begin = std::string_view{message}.substr(first + 1, std::min<std::size_t>(last - first - 1, 64))](
                       std::string_view text) { return find_in_any_case(text, begin) != std::string_view::npos; };
  if (last - first > 1 && has(sql.substr(0, longest_shown)) && !has(shown))
    message.replace(first + 1, last - first - 1, "***");
  return message;
}

}  // namespace lido::postgres::detail
