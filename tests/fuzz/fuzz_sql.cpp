// The fuzzer's way to everything that looks at SQL and at messages, which may quote a value of an attacker's: nothing
// crashes, no secret is shown, and the work is bounded: so many nanoseconds a byte, whatever the text is. The first
// byte chooses what is done with the others. `tests/run --only fuzz` builds and starts it.
#include <time.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <lido/postgres/detail/connect/connection_string.hpp>
#include <lido/postgres/detail/sql/lexer.hpp>
#include <lido/postgres/detail/sql/redact.hpp>
#include <lido/postgres/detail/sql/session_state.hpp>
#include <lido/postgres/detail/transaction/begin.hpp>
#include <lido/postgres/detail/values/copy_text.hpp>
#include <lido/postgres/detail/wire/diagnose.hpp>
#include <lido/postgres/types/values.hpp>

using namespace lido::postgres;
using namespace lido::postgres::detail;

namespace {

void require(bool good, const char* what, std::string_view text) {
  if (good) return;
  std::fprintf(stderr, "fuzz_sql: %s: %.*s\n", what, static_cast<int>(text.size()), text.data());
  std::abort();
}

// Whether what is written behind `text` is outside of its literals and comments.
bool is_complete(std::string_view text) {
  const std::string whole = std::string{text} + "\n;";
  Lexer lexer{whole};
  Piece last;
  for (Piece piece = lexer.next(); piece.kind != Token::end; piece = lexer.next()) {
    if (piece.doubtful) return false;
    last = piece;
  }
  return last.is_the_symbol(';');
}

void tokens(std::string_view text) {
  Lexer lexer{text};
  std::string whole;
  for (Piece piece = lexer.next(); piece.kind != Token::end; piece = lexer.next()) {
    require(!piece.text.empty(), "an empty token", text);
    whole += piece.text;
  }
  require(whole == text, "the tokens are not the text", text);
}

void secrets(std::string_view text) {
  constexpr std::string_view secret = "Tr0ub4dor-and-3";
  const std::string statement = "alter role x password 'Tr0ub4dor-and-3' ";
  const auto shows = [&](const std::string& sql) { return without_passwords(sql).find(secret) != std::string::npos; };
  if (text.find(secret) != std::string_view::npos) return;
  require(!shows(statement + std::string{text}), "a secret is shown before it", text);
  if (is_complete(text)) require(!shows(std::string{text} + "\n;" + statement), "a secret is shown behind it", text);
}

void states(std::string_view text) {
  const std::string whole{text};
  require(leaves_behind("listen x;" + whole) != Leaves::nothing, "a LISTEN before it is not seen", text);
  if (is_complete(text))
    require(leaves_behind(whole + "\n;listen x") != Leaves::nothing, "a LISTEN behind it is not seen", text);
  require(leaves_behind("select f(1), " + whole) != Leaves::nothing, "a function before it is not seen", text);
}

template <class T>
void read_value(const std::string& text) {
  static_cast<void>(Converter<T>::read(text));
}
constexpr std::array<void (*)(const std::string&), 16> scanners{
    [](const std::string& text) { static_cast<void>(WithoutPasswords::of(text + " password")); },
    [](const std::string& text) { static_cast<void>(WithoutPasswords::of("password " + text)); },
    [](const std::string& text) { static_cast<void>(leaves_behind(text)); },
    [](const std::string& text) { static_cast<void>(leaves_behind("select " + text)); },
    [](const std::string& text) { static_cast<void>(one_line(text)); },
    [](const std::string& text) { static_cast<void>(connect_diagnostics(text)); },
    [](const std::string& text) { static_cast<void>(listed_names(text)); },
    [](const std::string& text) { static_cast<void>(SplitString{text}); },
    [](const std::string& text) { static_cast<void>(SplitString{"postgresql://" + text}); },
    [](const std::string& text) { static_cast<void>(without_secret(text, "aaab")); },
    read_value<std::vector<std::optional<std::string>>>,
    read_value<std::vector<std::byte>>,
    read_value<std::chrono::microseconds>,
    read_value<std::chrono::sys_time<std::chrono::microseconds>>,
    read_value<Numeric>,
    [](const std::string& text) {
      std::array<LineField, 8> fields;
      std::string room;
      static_cast<void>(take_fields(text, fields, room));
    }};

// The text again and again, until it is long; a byte 1 stands for a number that grows.
void work(std::string_view text) {
  if (text.size() < 2) return;
  const auto scan = scanners[static_cast<unsigned char>(text.front()) % scanners.size()];
  text.remove_prefix(1);
  constexpr std::size_t size = 65'536;
  constexpr long most = 8'000;  // nanoseconds a byte, with sanitizers on a machine that has other work
  std::string whole;
  for (int i = 0; whole.size() < size; ++i)
    for (const char c : text) c == '\1' ? whole += std::to_string(i) : whole += c;
  timespec start{}, end{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &start);
  scan(whole);
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &end);
  const long took = (end.tv_sec - start.tv_sec) * 1'000'000'000L + (end.tv_nsec - start.tv_nsec);
  require(took / static_cast<long>(whole.size()) < most, "it takes too long", text);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view text{reinterpret_cast<const char*>(data) + 1, size - 1};
  switch (data[0] % 4) {
    case 0:
      tokens(text);
      break;
    case 1:
      secrets(text);
      break;
    case 2:
      states(text);
      break;
    default:
      work(text);
  }
  return 0;
}
