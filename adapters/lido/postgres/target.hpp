// Where a connection goes to and as whom, asked for anew whenever one is opened: passwords, and all the rest.
#pragma once

#include <functional>
#include <optional>
#include <stop_token>
#include <string>

#include <lido/facts.hpp>

namespace lido::postgres {

/// What a source is asked with: where the connection goes as far as settings say, empty where libpq decides.
struct ConnectRequest {
  std::string host{};      ///< as it is written: a name, an address, a directory, or several with commas between
  std::string port{};      ///< likewise
  std::string user{};      ///< the role
  std::string database{};  ///< its name
  TimePoint deadline = TimePoint::max();  ///< the open is given up by then
  std::stop_token stop{};                 ///< requested when the pool closes
};
using PasswordRequest = ConnectRequest;
using TargetRequest = ConnectRequest;

/// Returns the password of one connection. Called once for each that is opened, by the thread that opens it and with no
/// lock held; several may be opened at a time. May block until the deadline; what comes later is a failed open. What it
/// throws makes a failed open, and is not shown, as it may hold a secret: trying again cannot help where it is a
/// `PermanentFailure`.
using PasswordSource = std::function<std::string(const PasswordRequest&)>;

/// What one connection is to have in the place of what its connection string says; what is left out stays. None of
/// these may be empty.
struct Target {
  std::optional<std::string> connection_string{};  ///< of all of it, before the rest; without `pool_` keys
  std::optional<std::string> host{};               ///< one or several; with it a `hostaddr` of the string goes
  std::optional<std::string> hostaddr{};           ///< its address, which then is not looked up
  std::optional<std::string> port{};               ///< one, or one for each host
  std::optional<std::string> user{};               ///< the role
  std::optional<std::string> password{};           ///< unless a `PasswordSource` is asked, which comes behind this
  std::optional<std::string> database{};           ///< its name
};

/// Returns where one connection goes to. Called as a `PasswordSource`, and before it. What it returns holds for the
/// connection that is being opened: the others stay where they are. A malformed answer makes a failed open, which names
/// the field and does not show it.
using TargetSource = std::function<Target(const TargetRequest&)>;

}  // namespace lido::postgres
