// A pool's settings from environment variables:
//   DATABASE_URL            the connection string; required
//   DATABASE_POOL_SIZE      Options::pool_size, 20
//   DATABASE_MAX_OVERFLOW   Options::max_overflow, 40
//   DATABASE_POOL_TIMEOUT   Options::pool_timeout in seconds, 30
//   DATABASE_POOL_RECYCLE   Options::pool_recycle in seconds, 1800; -1 never
//   DATABASE_POOL_PRE_PING  Options::pre_ping, true
//   ENVIRONMENT             `test`: no pooling
#pragma once

#include <charconv>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

#include <lido/postgres/detail/connection_string.hpp>
#include <lido/postgres/detail/statement.hpp>
#include <lido/postgres/error.hpp>
#include <lido/postgres/options.hpp>

namespace lido::postgres {

/// All that a `Pool` is made from.
struct Environment {
  std::string connection_string;
  Options options;
};

/// Looks a variable up as `std::getenv` does: null when it is not set.
using GetVariable = std::function<const char*(const char* name)>;

namespace detail {

class EnvironmentReader {
 public:
  explicit EnvironmentReader(const GetVariable& get) : get_{get} {}

  [[nodiscard]] std::optional<std::string> text(const char* variable) const {
    const char* value = get_(variable);
    return value == nullptr ? std::nullopt : std::optional<std::string>{value};
  }

  // Nothing when the variable is not set.
  [[nodiscard]] std::optional<long> whole(const char* variable, long least, long most,
                                          const std::string& expected) const {
    const std::optional<std::string> value = text(variable);
    if (!value) return std::nullopt;
    long number = 0;
    const auto [end, error] = std::from_chars(value->data(), value->data() + value->size(), number);
    const bool parsed = error == std::errc{} && end == value->data() + value->size();
    if (!parsed || number < least || number > most) throw SettingError{variable, shown(*value), expected};
    return number;
  }

  [[nodiscard]] std::optional<bool> flag(const char* variable) const {
    const std::optional<std::string> value = text(variable);
    if (!value) return std::nullopt;
    std::string word;
    for (const char c : *value) word += lower(c);
    for (const std::string_view yes : {"true", "1", "yes", "on"})
      if (word == yes) return true;
    for (const std::string_view no : {"false", "0", "no", "off"})
      if (word == no) return false;
    throw SettingError{variable, shown(*value), "true, 1, yes or on, or false, 0, no or off"};
  }

 private:
  // An empty one is shown as such; a connection string in the wrong variable is not shown.
  [[nodiscard]] static std::string shown(const std::string& value) {
    if (value.empty()) return "''";
    return value.size() > 32 || value.find_first_of("@:=") != std::string::npos ? "(not shown)" : value;
  }

  const GetVariable& get_;
};

}  // namespace detail

/// Reads the variables above; what is not set has the default of `Options`. Throws `SettingError`, naming the variable,
/// its value unless that is secret, and what was expected. Pass `get` to read from elsewhere.
[[nodiscard]] inline Environment options_from_environment(const GetVariable& get = [](const char* name) -> const char* {
  return std::getenv(name);
}) {
  const detail::EnvironmentReader reader{get};
  constexpr long connections = 262'143;
  constexpr long seconds = 1'000'000'000;
  Environment environment;
  Options& options = environment.options;

  const auto url = reader.text("DATABASE_URL");
  if (!url || url->empty()) throw SettingError{"DATABASE_URL", "", "a connection string, and it is not set"};
  try {
    static_cast<void>(detail::ConnectionString{*url});
  } catch (const PermanentConnectError& error) {
    throw SettingError{"DATABASE_URL", "", std::string{"another value; "} + error.what()};
  }
  environment.connection_string = *url;

  if (const auto size = reader.whole("DATABASE_POOL_SIZE", 0, connections, "a whole number from 0 to 262143"))
    options.pool_size = static_cast<std::size_t>(*size);
  if (const auto more = reader.whole("DATABASE_MAX_OVERFLOW", 0, connections, "a whole number from 0 to 262143"))
    options.max_overflow = static_cast<std::size_t>(*more);
  if (options.pool_size + options.max_overflow == 0)
    throw SettingError{"DATABASE_POOL_SIZE", "0", "at least 1 together with DATABASE_MAX_OVERFLOW"};
  if (const auto timeout = reader.whole("DATABASE_POOL_TIMEOUT", 0, seconds, "a whole number of seconds, 0 or more"))
    options.pool_timeout = std::chrono::seconds{*timeout};
  if (const auto age =
          reader.whole("DATABASE_POOL_RECYCLE", -1, seconds, "a whole number of seconds above 0, or -1 for never")) {
    if (*age == 0)
      throw SettingError{"DATABASE_POOL_RECYCLE", "0", "a whole number of seconds above 0, or -1 for never"};
    options.pool_recycle = *age < 0 ? Duration::max() : Duration{std::chrono::seconds{*age}};
  }
  if (const auto ping = reader.flag("DATABASE_POOL_PRE_PING")) options.pre_ping = *ping;
  options.pooling = reader.text("ENVIRONMENT") != "test";
  return environment;
}

}  // namespace lido::postgres
