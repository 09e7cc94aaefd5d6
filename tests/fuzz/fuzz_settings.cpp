// The fuzzer's way to the settings: connection strings, durations and variables of the environment. None may crash the
// parser or make it show a secret, and what is read and printed reads as the same again. The first byte says which of
// them the rest is; a byte 1 stands for a secret. `tests/run --only fuzz` builds and starts it.
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>
#include <string_view>

#include <lido/postgres/environment.hpp>

using namespace lido::postgres;

namespace {

// Longer than any value of a variable that an error shows: the fuzzer would sooner or later set one to it.
constexpr std::string_view secret = "Tr0ub4dor-and-3-and-some-more-to-be-long";

void require(bool good, const char* what) {
  if (good) return;
  std::fprintf(stderr, "fuzz_settings: %s\n", what);
  std::abort();
}

std::string with_secrets(std::string_view text) {
  std::string whole;
  for (const char c : text) c == '\1' ? whole += secret : whole += c;
  return whole;
}

// Runs a parser; its errors are fine unless they show a secret.
template <class Parse>
void parse(Parse action) {
  try {
    action();
  } catch (const std::exception& error) {
    require(std::string_view{error.what()}.find(secret) == std::string_view::npos, "a secret is shown");
  }
}

void same_again(const Options& options) {
  const std::string printed = to_string(options);
  const Environment again = options_from_string(printed);
  require(to_string(again.options) == printed, "the options print differently");
  require(again.options.name == options.name, "the name is another one");
  require(again.connection_string.empty(), "something is left for libpq");
}

void connection_string(std::string_view text) {
  const std::string whole = with_secrets(text);
  parse([&] {
    const Environment made = options_from_string(whole);
    // A zero byte ends what libpq reads of a name.
    if (made.options.name.find('\0') == std::string::npos) same_again(made.options);
    require(detail::SplitString{made.connection_string}.pool.empty(), "a key of the pool is left for libpq");
    const detail::ConnectionString target{made.connection_string};
    static_cast<void>(target.connect_timeout());
    static_cast<void>(target.redacted(whole));
  });
}

void duration(std::string_view text) {
  const auto span = detail::parse_duration(text);
  if (!span) return;
  require(*span >= lido::Duration::zero(), "a duration is negative");
  require(detail::parse_duration(detail::print_duration(*span)) == span, "a duration prints differently");
}

// The variables by turns, one a line, and the connection string last.
void environment(std::string_view text) {
  const std::string whole{text.substr(0, text.find('\0'))};
  const std::string url = with_secrets(whole.substr(whole.rfind('\n') + 1));
  parse([&] {
    std::string_view rest = whole;
    std::string value;
    const auto made = options_from_environment([&](const char* name) -> const char* {
      if (std::string_view{name} == "DATABASE_URL") return url.c_str();
      const std::size_t end = rest.find('\n');
      if (end == std::string_view::npos) return nullptr;
      value = rest.substr(0, end);
      rest.remove_prefix(end + 1);
      return value.empty() ? nullptr : value.c_str();
    });
    same_again(made.options);
  });
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  const std::string_view text{reinterpret_cast<const char*>(data) + 1, size - 1};
  switch (data[0] % 3) {
    case 0:
      connection_string(text);
      break;
    case 1:
      duration(text);
      break;
    default:
      environment(text);
  }
  return 0;
}
