// A pool's settings from a connection string and from the environment. Most of `Options` can be set
//   in a connection string  by the key `pool_size`, `pool_max_overflow`, `pool_timeout` and so on: `pool_` and the
//                           option's name, unless that begins so; libpq does not see these keys
//   in the environment      by the variable of that name: `DATABASE_POOL_SIZE`, `DATABASE_POOL_MAX_OVERFLOW`, ...
// Durations are numbers with a unit (`500ms`, `30s`, `1.5h`, `1d`), numbers of seconds (`30`, `0.5`), or `never`. A
// key that is not known is an error, and so is a variable, which would leave the default in force unseen: one that
// begins with `DATABASE_POOL_`, one that has the rest of such a name in two or more words behind `DATABASE_`
// (`DATABASE_STATEMENT_TIMEOUT`), and one that is spelt almost like one of these names. Others are other programs'.
//
// What is said closer to the running program wins: the connection string over the environment, the environment over the
// defaults that the program was compiled with, and what the program changes in an `Environment` over all of them.
//
//   DATABASE_URL           the connection string; may be missing where libpq's PGHOST, PGHOSTADDR or PGSERVICE is set
//   DATABASE_MAX_OVERFLOW  the same as DATABASE_POOL_MAX_OVERFLOW
//   ENVIRONMENT            `test`: no pooling, unless DATABASE_POOL_POOLING says otherwise
#pragma once

#include <functional>
#include <ostream>
#include <string>
#include <utility>

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

/// As `Calls`: defined in configuring.hpp.
template <class Form = void>
struct Configuring {
  [[nodiscard]] static Environment from_string(const std::string& connection_string, Options options);
  [[nodiscard]] static Environment from_environment(const GetVariable& from, Options options);
  [[nodiscard]] static std::string text_of(const Options& options);
};

}  // namespace detail

/// Takes the `pool_` keys out of `connection_string` and sets `options` by them; options that it does not name keep the
/// value that they have. Throws `PermanentConnectError` when the string is malformed, `SettingError`, naming the key,
/// when one is unknown or malformed, and `InvalidOption`. No error shows a value.
[[nodiscard]] inline Environment options_from_string(const std::string& connection_string, Options options = {}) {
  return detail::Configuring<>::from_string(connection_string, std::move(options));
}

/// Reads the variables above; what is not set keeps the value that it has in `options`. Throws `SettingError`, naming
/// the variable or key, a variable's value unless that is secret, and what was expected; also `InvalidOption`. Pass
/// `get` to read from elsewhere, where nobody can look for variables that are misspelt; libpq's own variables are read
/// from the environment of the process. Not while another thread changes the environment.
[[nodiscard]] inline Environment options_from_environment(const GetVariable& from = {}, Options options = {}) {
  return detail::Configuring<>::from_environment(from, std::move(options));
}

/// The same of the environment of the process, with what a program has been compiled with where that says nothing:
/// `Pool pool{options_from_environment({.pool_size = 4})}`.
[[nodiscard]] inline Environment options_from_environment(Options options) {
  return options_from_environment(GetVariable{}, std::move(options));
}

/// The options that a connection string can hold, as it would hold them: `pool_size=20 pool_max_overflow=40 ...`. There
/// is nothing secret among them.
[[nodiscard]] inline std::string to_string(const Options& options) { return detail::Configuring<>::text_of(options); }

/// As `to_string` has it.
inline std::ostream& operator<<(std::ostream& out, const Options& options) { return out << to_string(options); }

}  // namespace lido::postgres

// What these do, unless this program has it compiled.
#if !__has_include(<lido_postgres_compiled.hpp>)
#  include <lido/postgres/detail/compiled/configuring.hpp>
#endif
