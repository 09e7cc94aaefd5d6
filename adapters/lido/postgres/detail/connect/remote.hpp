// Servers that are not on this machine: their certificate is verified unless somebody chose otherwise.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <new>
#include <string>
#include <string_view>

#include <lido/postgres/detail/connect/connection_string.hpp>
#include <lido/postgres/detail/sql/lexer.hpp>
#include <lido/postgres/detail/wire/handle.hpp>
#include <lido/postgres/error.hpp>

namespace lido::postgres::detail {

/// What libpq makes of a connection string together with its own environment and service files.
class Effective {
 public:
  /// All but `unread`, a setting that has a fixed set of values: `target_session_attrs`, or `sslmode`.
  explicit Effective(const ConnectionString& target, const char* unread = "target_session_attrs") {
    // libpq has read all of its settings when it comes upon one that is wrong, and has not tried to connect.
    const ConnectionString::Arrays arrays = target.arrays(unread, "none");
    const ConnectionHandle probe{PQconnectStartParams(arrays.keys.data(), arrays.values.data(), 0)};
    options_.reset(probe ? PQconninfo(probe.get()) : nullptr);
    if (!options_) throw std::bad_alloc{};
  }

  /// All of them, ended by one without a keyword.
  [[nodiscard]] const PQconninfoOption* options() const noexcept { return options_.get(); }
  /// Empty where nothing is set.
  [[nodiscard]] std::string value(std::string_view key) const {
    const PQconninfoOption* const option = find(key);
    return option == nullptr || option->val == nullptr ? "" : option->val;
  }
  /// What libpq has where nobody says anything; empty where that is nothing.
  [[nodiscard]] std::string compiled(std::string_view key) const {
    const PQconninfoOption* const option = find(key);
    return option == nullptr || option->compiled == nullptr ? "" : option->compiled;
  }
  /// Whether `key` is as libpq has it where nobody says anything.
  [[nodiscard]] bool is_default(std::string_view key) const {
    const PQconninfoOption* const option = find(key);
    if (option == nullptr || option->val == nullptr) return true;
    return option->compiled != nullptr && std::string_view{option->val} == option->compiled;
  }

 private:
  [[nodiscard]] const PQconninfoOption* find(std::string_view key) const noexcept {
    for (const PQconninfoOption* option = options_.get(); option->keyword != nullptr; ++option)
      if (option->keyword == key) return option;
    return nullptr;
  }

  ConninfoHandle options_;
};

/// 127.0.0.0/8 and ::1, also as an IPv4 address in IPv6's clothes. What only a resolver understands is none.
[[nodiscard]] inline bool is_loopback(const std::string& address) noexcept {
  in_addr four{};
  if (::inet_pton(AF_INET, address.c_str(), &four) == 1) return ntohl(four.s_addr) >> 24 == 127;
  in6_addr six{};
  if (::inet_pton(AF_INET6, address.c_str(), &six) != 1) return false;
  return IN6_IS_ADDR_LOOPBACK(&six) || (IN6_IS_ADDR_V4MAPPED(&six) && six.s6_addr[12] == 127);
}

/// A directory, an abstract socket, libpq's default, or this machine by name or address.
[[nodiscard]] inline bool is_local_host(const std::string& host) noexcept {
  if (host.empty() || host.front() == '/' || host.front() == '@' || is_loopback(host)) return true;
  return is(host, "localhost");
}

/// Of libpq's lists with commas between. A name that is not local is somewhere else even if its address is given as a
/// loopback one: so are the ends of tunnels, and the name is what a certificate has to show.
[[nodiscard]] inline bool all_local(std::string_view hosts, std::string_view addresses) {
  const auto next = [](std::string_view& list) {
    const std::string_view one = list.substr(0, list.find(','));
    list.remove_prefix(std::min(list.size(), one.size() + 1));
    return std::string{one};
  };
  while (!hosts.empty() || !addresses.empty()) {
    if (!is_local_host(next(hosts))) return false;
    if (const std::string address = next(addresses); !address.empty() && !is_loopback(address)) return false;
  }
  return true;
}

/// Where libpq looks for the certificates that it trusts.
[[nodiscard]] inline bool has_root_certificate() {
  const char* const home = std::getenv("HOME");
  struct stat found{};
  // Without it libpq asks the system where the home is, and says itself what is missing.
  return home == nullptr || *home == '\0' || ::stat((std::string{home} + "/.postgresql/root.crt").c_str(), &found) == 0;
}

inline constexpr std::string_view how_to_choose_tls =
    "servers other than Unix sockets and loopback addresses are verified by default (sslmode=verify-full); to choose, "
    "write into the connection string sslrootcert=FILE with the certificate of the authority to trust, or "
    "sslmode=require to encrypt without verifying, or sslmode=disable not to encrypt; or set PGSSLROOTCERT or "
    "PGSSLMODE";

/// Sets `sslmode=verify-full` where a server is not local and neither the string, PGSSLMODE nor a service file chooses
/// another mode than libpq's default; with the system's certificates where libpq knows them (16) and is given no
/// others. Says whether it did. Throws `PermanentConnectError` where there are no certificates to verify with.
inline bool verify_remote(ConnectionString& target) {
  if (target.has("sslmode") || std::getenv("PGSSLMODE") != nullptr) return false;
  const Effective effective{target};
  if (!effective.is_default("sslmode")) return false;
  if (all_local(effective.value("host"), effective.value("hostaddr"))) return false;
  target.set("sslmode", "verify-full");
  if (!effective.value("sslrootcert").empty() || has_root_certificate()) return true;
  if (PQlibVersion() < 160000)
    throw PermanentConnectError{
        lido::detail::concat({target.redacted(lido::detail::concat({"connection to ", effective.value("host")})),
                              " failed: there is no certificate to verify the server with; ", how_to_choose_tls})};
  target.set("sslrootcert", "system");
  return true;
}

}  // namespace lido::postgres::detail
