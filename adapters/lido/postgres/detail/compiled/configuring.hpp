// How a pool's settings are read from a connection string and from the environment, and shown.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <lido/detail/concat.hpp>
#include <lido/postgres/detail/connect/connection_string.hpp>
#include <lido/postgres/detail/connect/nearest.hpp>
#include <lido/postgres/detail/connect/pool_keys.hpp>
#include <lido/postgres/detail/connect/settings.hpp>
#include <lido/postgres/environment.hpp>
#include <lido/postgres/error.hpp>
#include <lido/postgres/options.hpp>

namespace lido::postgres::detail {

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

[[nodiscard]] inline std::vector<std::string> known_settings(std::string (OptionSetting::*name)() const) {
  std::vector<std::string> known;
  for (const OptionSetting& setting : settings) add_name(known, (setting.*name)());
  return known;
}

// Kubernetes sets variables for each service of the same namespace, and one may be called `database-pool`.
[[nodiscard]] inline bool is_of_a_service(std::string_view rest) noexcept {
  return rest == "PORT" || rest.starts_with("PORT_") || rest.starts_with("SERVICE_");
}

// What is meant by the name of a variable that does not begin with DATABASE_POOL_; empty where it is another program's.
// A single word may well be, as DATABASE_NAME and DATABASE_TIMEOUT.
[[nodiscard]] inline std::string meant_without_pool(std::string_view name, const std::vector<std::string>& known) {
  constexpr std::string_view prefix = "DATABASE_";
  std::vector<std::string> like = known;
  for (const OptionSetting& setting : settings) {
    if (setting.other_variable.empty()) continue;
    if (setting.other_variable == name) return {};
    like.emplace_back(setting.other_variable);
  }
  const std::string_view rest = name.substr(prefix.size());
  std::string full = lido::detail::concat({prefix, "POOL_", rest});
  if (rest.find('_') != std::string_view::npos && std::find(known.begin(), known.end(), full) != known.end())
    return full;
  return nearest(name, like);
}

/// Throws `SettingError` for a variable that looks like one of these and is none; `name_and_value` as the environment
/// has it, of which the name alone is shown.
inline void refuse_unknown_variable(std::string_view name_and_value) {
  constexpr std::string_view prefix = "DATABASE_POOL_";
  if (!name_and_value.starts_with("DATABASE_")) return;
  const std::string name{name_and_value.substr(0, name_and_value.find('='))};
  const std::vector<std::string> known = known_settings(&OptionSetting::variable);
  if (std::find(known.begin(), known.end(), name) != known.end()) return;
  const bool plain =
      name.size() <= longest_name && name.find_first_not_of("ABCDEFGHIJKLMNOPQRSTUVWXYZ_") == std::string::npos;
  if (!name.starts_with(prefix)) {
    const std::string meant = plain ? meant_without_pool(name, known) : std::string{};
    if (!meant.empty()) throw SettingError{name, "", did_you_mean(meant)};
    return;
  }
  if (is_of_a_service(std::string_view{name}.substr(prefix.size()))) return;
  throw SettingError{plain ? name : "a variable that begins with DATABASE_POOL_", "", known_names(name, known)};
}

inline void read_variable(Options& options, const OptionSetting& setting, const std::string& name,
                          const GetVariable& get) {
  const char* const value = name.empty() ? nullptr : get(name.c_str());
  if (value != nullptr && !assign(options, setting, value))
    throw SettingError{name, shown_value(value), expected_of(setting)};
}

template <class Form>
Environment Configuring<Form>::from_string(const std::string& connection_string, Options options) {
  SplitString split{connection_string};
  // First, so that a string that is malformed altogether gets no errors of its pieces.
  static_cast<void>(ConnectionString{split.rest});
  for (const auto& [key, value] : split.pool) {
    const auto* const setting =
        std::find_if(settings.begin(), settings.end(), [&](const OptionSetting& each) { return each.key() == key; });
    if (setting == settings.end())
      throw SettingError{shown_key(key), "", known_names(key, known_settings(&OptionSetting::key))};
    if (!assign(options, *setting, value)) throw SettingError{key, "", expected_of(*setting)};
  }
  validate(options);
  return {std::move(split.rest), std::move(options)};
}

template <class Form>
Environment Configuring<Form>::from_environment(const GetVariable& from, Options options) {
  const GetVariable get = from ? from : [](const char* name) -> const char* { return std::getenv(name); };
  if (!from)
    for (char** each = ::environ; each != nullptr && *each != nullptr; ++each) refuse_unknown_variable(*each);
  const auto text = [&](const char* name) {
    const char* const value = get(name);
    return std::string{value == nullptr ? "" : value};
  };
  const std::string url = text("DATABASE_URL");
  if (text("ENVIRONMENT") == "test") options.pooling = false;
  for (const OptionSetting& setting : settings) {
    read_variable(options, setting, std::string{setting.other_variable}, get);
    read_variable(options, setting, setting.variable(), get);
  }
  Environment environment;
  try {
    environment = from_string(url, std::move(options));
  } catch (const SettingError& error) {
    throw SettingError{"DATABASE_URL", error};
  } catch (const PermanentConnectError& error) {
    throw SettingError{"DATABASE_URL", error};
  }
  // Also one that was never filled in, but for white space or the pool's keys.
  const bool blank = environment.connection_string.find_first_not_of(" \t\n\v\f\r") == std::string::npos;
  if (blank && text("PGHOST").empty() && text("PGHOSTADDR").empty() && text("PGSERVICE").empty())
    throw SettingError{"DATABASE_URL", "",
                       "a connection string, or else the server in PGHOST, PGHOSTADDR or PGSERVICE; none is set"};
  return environment;
}

template <class Form>
std::string Configuring<Form>::text_of(const Options& options) {
  std::string text;
  for (const OptionSetting& setting : settings) {
    text.append(text.empty() ? "" : " ").append(setting.key()).append("=");
    const std::string value = print(options, setting);
    const bool plain = !value.empty() && std::all_of(value.begin(), value.end(), is_word);
    if (!plain) text += '\'';
    for (const char c : value) (c == '\'' || c == '\\') ? (text += '\\') += c : text += c;
    if (!plain) text += '\'';
  }
  return text;
}

}  // namespace lido::postgres::detail
