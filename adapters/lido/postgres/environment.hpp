// A pool's settings from a connection string and from the environment. Most of `Options` can be set
//   in a connection string  by the key `pool_size`, `pool_max_overflow`, `pool_timeout` and so on: `pool_` and the
//                           option's name, unless that begins so; libpq does not see these keys
//   in the environment      by the variable of that name: `DATABASE_POOL_SIZE`, `DATABASE_POOL_MAX_OVERFLOW`, ...
// Durations are numbers with a unit (`500ms`, `30s`, `1.5h`, `1d`), numbers of seconds (`30`, `0.5`), or `never`. A
// name that is not known is an error, also of a variable: one that is misspelt would leave the default in force unseen.
//
// What is said closer to the running program wins: the connection string over the environment, the environment over the
// defaults that the program was compiled with, and what the program changes in an `Environment` over all of them.
//
//   DATABASE_URL           the connection string; may be missing where libpq's PGHOST, PGHOSTADDR or PGSERVICE is set
//   DATABASE_MAX_OVERFLOW  the same as DATABASE_POOL_MAX_OVERFLOW
//   ENVIRONMENT            `test`: no pooling, unless DATABASE_POOL_POOLING says otherwise
#pragma once

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <ostream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <lido/postgres/detail/connect/connection_string.hpp>
#include <lido/postgres/detail/connect/nearest.hpp>
#include <lido/postgres/detail/connect/pool_keys.hpp>
#include <lido/postgres/detail/connect/settings.hpp>
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

// A piece of a password may look like a key.
[[nodiscard]] inline std::string shown_key(const std::string& key) {
  const bool plain = key.size() <= 40 && key.find_first_not_of("abcdefghijklmnopqrstuvwxyz_") == std::string::npos;
  return plain ? key : "a key that begins with pool_";
}

// An empty one is shown as such; a connection string in the wrong variable is not shown.
[[nodiscard]] inline std::string shown_value(const std::string& value) {
  if (value.empty()) return "''";
  return value.size() > 32 || value.find_first_of("@:=") != std::string::npos ? "(not shown)" : value;
}

[[nodiscard]] inline std::vector<std::string> known_keys() {
  std::vector<std::string> known;
  for (const OptionSetting& setting : settings) known.push_back(setting.key());
  return known;
}

// Kubernetes sets variables for each service of the same namespace, and one may be called `database-pool`.
[[nodiscard]] inline bool is_of_a_service(std::string_view rest) noexcept {
  return rest == "PORT" || rest.starts_with("PORT_") || rest.starts_with("SERVICE_");
}

/// Throws `SettingError` for a variable that looks like one of these and is none; `name_and_value` as the environment
/// has it, of which the name alone is shown.
inline void refuse_unknown_variable(std::string_view name_and_value) {
  constexpr std::string_view prefix = "DATABASE_POOL_";
  if (!name_and_value.starts_with(prefix)) return;
  const std::string name{name_and_value.substr(0, name_and_value.find('='))};
  std::vector<std::string> known;
  for (const OptionSetting& setting : settings) known.push_back(setting.variable());
  if (std::ranges::find(known, name) != known.end()) return;
  if (is_of_a_service(std::string_view{name}.substr(prefix.size()))) return;
  const bool plain =
      name.size() <= longest_name && name.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ_") == std::string::npos;
  throw SettingError{plain ? name : "a variable that begins with DATABASE_POOL_", "", known_names(name, known)};
}

inline void read_variable(Options& options, const OptionSetting& setting, const std::string& name,
                          const GetVariable& get) {
  const char* const value = name.empty() ? nullptr : get(name.c_str());
  if (value != nullptr && !assign(options, setting, value))
    throw SettingError{name, shown_value(value), expected_of(setting)};
}

}  // namespace detail

/// Takes the `pool_` keys out of `connection_string` and sets `options` by them; options that it does not name keep the
/// value that they have. Throws `PermanentConnectError` when the string is malformed, `SettingError`, naming the key,
/// when one is unknown or malformed, and `InvalidOption`. No error shows a value.
[[nodiscard]] inline Environment options_from_string(const std::string& connection_string, Options options = {}) {
  detail::SplitString split{connection_string};
  // First, so that a string that is malformed altogether gets no errors of its pieces.
  static_cast<void>(detail::ConnectionString{split.rest});
  for (const auto& [key, value] : split.pool) {
    const auto* const setting = std::ranges::find(detail::settings, key, &detail::OptionSetting::key);
    if (setting == detail::settings.end())
      throw SettingError{detail::shown_key(key), "", detail::known_names(key, detail::known_keys())};
    if (!detail::assign(options, *setting, value)) throw SettingError{key, "", detail::expected_of(*setting)};
  }
  validate(options);
  return {std::move(split.rest), std::move(options)};
}

/// Reads the variables above; what is not set keeps the value that it has in `options`. Throws `SettingError`, naming
/// the variable or key, a variable's value unless that is secret, and what was expected; also `InvalidOption`. Pass
/// `get` to read from elsewhere, where nobody can look for variables that are misspelt; libpq's own variables are read
/// from the environment of the process. Not while another thread changes the environment.
[[nodiscard]] inline Environment options_from_environment(const GetVariable& from = {}, Options options = {}) {
  const GetVariable get = from ? from : [](const char* name) -> const char* { return std::getenv(name); };
  if (!from)
    for (char** each = ::environ; each != nullptr && *each != nullptr; ++each) detail::refuse_unknown_variable(*each);
  const auto text = [&](const char* name) {
    const char* const value = get(name);
    return std::string{value == nullptr ? "" : value};
  };
  const std::string url = text("DATABASE_URL");
  if (url.empty() && text("PGHOST").empty() && text("PGHOSTADDR").empty() && text("PGSERVICE").empty())
    throw SettingError{"DATABASE_URL", "",
                       "a connection string, or else the server in PGHOST, PGHOSTADDR or PGSERVICE; none is set"};
  if (text("ENVIRONMENT") == "test") options.pooling = false;
  for (const detail::OptionSetting& setting : detail::settings) {
    detail::read_variable(options, setting, std::string{setting.other_variable}, get);
    detail::read_variable(options, setting, setting.variable(), get);
  }
  try {
    return options_from_string(url, std::move(options));
  } catch (const SettingError& error) {
    throw SettingError{"DATABASE_URL", error};
  } catch (const PermanentConnectError& error) {
    throw SettingError{"DATABASE_URL", error};
  }
}

/// The same of the environment of the process, with what a program has been compiled with where that says nothing:
/// `Pool pool{options_from_environment({.pool_size = 4})}`.
[[nodiscard]] inline Environment options_from_environment(Options options) {
  return options_from_environment(GetVariable{}, std::move(options));
}

/// The options that a connection string can hold, as it would hold them: `pool_size=20 pool_max_overflow=40 ...`. There
/// is nothing secret among them.
[[nodiscard]] inline std::string to_string(const Options& options) {
  std::string text;
  for (const detail::OptionSetting& setting : detail::settings) {
    text += (text.empty() ? "" : " ") + setting.key() + '=';
    const std::string value = detail::print(options, setting);
    const bool plain = !value.empty() && std::ranges::all_of(value, detail::is_word);
    if (!plain) text += '\'';
    for (const char c : value) (c == '\'' || c == '\\') ? (text += '\\') += c : text += c;
    if (!plain) text += '\'';
  }
  return text;
}

/// As `to_string` has it.
inline std::ostream& operator<<(std::ostream& out, const Options& options) { return out << to_string(options); }

}  // namespace lido::postgres
