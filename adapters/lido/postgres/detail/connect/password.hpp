// Passwords that are asked for when a connection is opened.
#pragma once

#include <string>

#include <lido/error.hpp>
#include <lido/postgres/detail/connect/connection_string.hpp>
#include <lido/postgres/detail/connect/remote.hpp>
#include <lido/postgres/error.hpp>
#include <lido/postgres/options.hpp>
#include <lido/postgres/until.hpp>

namespace lido::postgres::detail {

/// `target` with the password that `source` gives, or as it is without a source. Blocks for as long as that does.
/// Throws `ConnectError` when the source throws, `PermanentConnectError` when that is a `PermanentFailure`.
[[nodiscard]] inline ConnectionString with_password(ConnectionString target, const PasswordSource& source,
                                                    const Until& until) {
  if (!source) return target;
  const Effective effective{target};
  const std::string host = effective.value("host");
  const std::string failed = target.redacted("connection to " + (host.empty() ? "the server" : host)) + " failed: ";
  const auto ask = [&] {
    // Nothing of what is thrown may pass, not even nested: a token's service may well quote a token.
    try {
      return source({.host = host,
                     .port = effective.value("port"),
                     .user = effective.value("user"),
                     .database = effective.value("dbname"),
                     .deadline = until.deadline,
                     .stop = until.stop});
    } catch (const PermanentFailure&) {
      throw PermanentConnectError{failed + "Options::password threw, for good (not shown, it may hold a secret)"};
    } catch (...) {
      throw ConnectError{failed + "Options::password threw (not shown, it may hold a secret)"};
    }
  };
  const std::string password = ask();
  // libpq would look for another one elsewhere, or take a part of it.
  if (password.empty() || password.find('\0') != std::string::npos)
    throw ConnectError{failed + "Options::password: expected a password that is not empty and has no zero byte"};
  target.set("password", password);
  return target;
}

}  // namespace lido::postgres::detail
