// What is asked for when a connection is opened: where it goes to, and with which password.
#pragma once

#include <algorithm>
#include <cstddef>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <lido/error.hpp>
#include <lido/facts.hpp>
#include <lido/postgres/connection_settings.hpp>
#include <lido/postgres/detail/connect/connecting.hpp>
#include <lido/postgres/detail/connect/connection_string.hpp>
#include <lido/postgres/detail/connect/hosts.hpp>
#include <lido/postgres/detail/connect/pool_keys.hpp>
#include <lido/postgres/detail/connect/remote.hpp>
#include <lido/postgres/error.hpp>
#include <lido/postgres/target.hpp>
#include <lido/postgres/until.hpp>

namespace lido::postgres::detail {

/// Asks one source, of which `option` is the name, and says what is wrong with its answer.
class Asking {
 public:
  Asking(const ConnectionString& target, const Until& until, std::string_view option)
      : effective_{target}, until_{until}, option_{option} {
    const std::string host = effective_.value("host");
    failed_ = lido::detail::concat(
        {target.redacted(lido::detail::concat({"connection to ", host.empty() ? "the server" : host})), " failed: "});
  }

  /// Blocks for as long as `source` does. Throws `ConnectError` when it throws or is too late, `PermanentConnectError`
  /// when what it throws is a `PermanentFailure`.
  template <class Answer>
  [[nodiscard]] Answer answer(const std::function<Answer(const ConnectRequest&)>& source) const {
    Answer given = ask(source);
    if (until_.stop.stop_requested()) throw ConnectError{lido::detail::concat({failed_, option_, ": given up"})};
    if (Clock::now() >= until_.deadline)
      throw ConnectError{lido::detail::concat({failed_, option_, ": no answer in time"})};
    return given;
  }

  /// Of one field; another answer may be better, so that this is for trying again.
  [[nodiscard]] ConnectError wrong(std::string_view field, std::string_view why) const {
    return ConnectError{lido::detail::concat({failed_, option_, field.empty() ? "" : ", ", field, ": ", why})};
  }

 private:
  template <class Answer>
  [[nodiscard]] Answer ask(const std::function<Answer(const ConnectRequest&)>& source) const {
    // Nothing of what is thrown may pass, not even nested: a token's service may well quote a token.
    try {
      return source({.host = effective_.value("host"),
                     .port = effective_.value("port"),
                     .user = effective_.value("user"),
                     .database = effective_.value("dbname"),
                     .deadline = until_.deadline,
                     .stop = until_.stop});
    } catch (const PermanentFailure&) {
      throw PermanentConnectError{
          lido::detail::concat({failed_, option_, " threw, for good (not shown, it may hold a secret)"})};
    } catch (...) {
      throw ConnectError{lido::detail::concat({failed_, option_, " threw (not shown, it may hold a secret)"})};
    }
  }

  Effective effective_;
  const Until& until_;
  std::string option_;
  std::string failed_;
};

/// `target` with the password that `source` gives, or as it is without a source.
[[nodiscard]] inline ConnectionString with_password(ConnectionString target, const PasswordSource& source,
                                                    const Until& until) {
  if (!source) return target;
  const Asking asking{target, until, "Options::password"};
  const std::string password = asking.answer(source);
  // libpq would look for another one elsewhere, or take a part of it.
  if (password.empty() || password.find('\0') != std::string::npos)
    throw asking.wrong("", "expected a password that is not empty and has no zero byte");
  target.set("password", password);
  return target;
}

/// The lists of a target, which libpq would refuse one host after the other if they did not match each other.
inline void check_lists(const ConnectionString& target, const Asking& asking) {
  const Effective effective{target};
  const std::size_t hosts = list_of(effective.value("host")).size();
  const std::size_t addresses = list_of(effective.value("hostaddr")).size();
  const std::size_t ports = list_of(effective.value("port")).size();
  if (addresses > 0 && hosts > 0 && addresses != hosts)
    throw asking.wrong("hostaddr", "expected as many addresses as there are hosts");
  if (ports > 1 && ports != std::max({std::size_t{1}, hosts, addresses}))
    throw asking.wrong("port", "expected one port, or as many as there are hosts");
}

/// `target` with what the source of `asks` gives, or as it is without a source.
[[nodiscard]] inline ConnectionString with_target(ConnectionString target, const ConnectionSettings& asks,
                                                  const Until& until) {
  if (!asks.target) return target;
  const Asking asking{target, until, "Options::target"};
  const Target given = asking.answer(asks.target);
  const auto check = [&](std::string_view field, const std::string& value) {
    if (value.empty() || value.find('\0') != std::string::npos)
      throw asking.wrong(field, "expected a value that is not empty and has no zero byte");
  };
  if (given.connection_string) {
    check("connection_string", *given.connection_string);
    if (!SplitString{*given.connection_string}.pool.empty())
      throw asking.wrong("connection_string", "no key that begins with pool_: these are read once, by the pool");
    try {
      target = session_target(*given.connection_string, asks.application_name);
    } catch (const PermanentConnectError& error) {  // which shows nothing of it
      throw asking.wrong("connection_string", error.what());
    }
  }
  const auto set = [&](const char* key, std::string_view field, const std::optional<std::string>& value) {
    if (!value) return;
    check(field, *value);
    // These are shown by libpq, and by servers.
    if (ConnectionString::looks_like_a_string(value->c_str()))
      throw asking.wrong(field, "expected this alone, and no connection string");
    target.set(key, *value);
  };
  if (given.host && !given.hostaddr) target.erase("hostaddr");  // which would win
  set("host", "host", given.host);
  set("hostaddr", "hostaddr", given.hostaddr);
  set("port", "port", given.port);
  set("user", "user", given.user);
  set("dbname", "database", given.database);
  if (given.password) {
    check("password", *given.password);
    target.set("password", *given.password);
  }
  if (given.host && ConnectionString::has_user(*given.host))
    throw asking.wrong("host", "expected a host, without user and password");
  if (!target.has_good_ports()) throw asking.wrong("port", "expected a port from 1 to 65535");
  if (given.host && !given.hostaddr && !Effective{target}.value("hostaddr").empty())
    throw asking.wrong("host", "PGHOSTADDR or a service file has an address, which would win; answer with a hostaddr");
  check_lists(target, asking);
  return target;
}

/// `target` with all that `asks` has sources of. Blocks for as long as these do, which are told `until` when they
/// may. Throws `ConnectError` or `PermanentConnectError`, which show no answer.
[[nodiscard]] inline ConnectionString asked_for(ConnectionString target, const ConnectionSettings& asks,
                                                const Until& until) {
  return with_password(with_target(std::move(target), asks, until), asks.password, until);
}

}  // namespace lido::postgres::detail
