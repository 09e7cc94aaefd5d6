// What speaks against a server and not just against one of its sessions.
#pragma once

#include <string_view>
#include <utility>

#include <lido/postgres/detail/wire/diagnose.hpp>
#include <lido/postgres/detail/wire/handle.hpp>
#include <lido/postgres/error.hpp>

namespace lido::postgres::detail {

/// Of an error that ended a session: whether all others have ended by it, too. A server that shuts down (57P01), has
/// crashed (57P02) or is not up yet (57P03), or a network that is gone (class 08, or no word at all). Not so what ends
/// one session alone, such as `idle_in_transaction_session_timeout`; with 08P01 PgBouncer ends one client, whatever
/// for. If PgBouncer goes, each of its connections ends.
[[nodiscard]] inline bool ends_all_sessions(std::string_view sqlstate) noexcept {
  return sqlstate.empty() || (sqlstate.starts_with("08") && sqlstate != "08P01") || sqlstate == "57P01" ||
         sqlstate == "57P02" || sqlstate == "57P03";
}

/// A write came upon something that is read-only: a standby, a server that no longer takes writes, or a transaction
/// that asked for it.
inline constexpr std::string_view read_only_transaction = "25006";

/// What a session has met that speaks against its server.
class ServerSigns {
 public:
  /// The session has ended with that word, or with none.
  void ended(std::string_view sqlstate) noexcept { lost_ = lost_ || ends_all_sessions(sqlstate); }
  [[gnu::noinline]] void met(const Diagnostics& error) noexcept {
    write_refused_ = write_refused_ || error.sqlstate == read_only_transaction;
    if (is_fatal(error)) ended(error.sqlstate);
  }

  /// Not just this session has ended, but all of its server have.
  [[nodiscard]] bool lost() const noexcept { return lost_; }
  /// A write came upon something read-only since `take_write_refused` was asked last.
  [[nodiscard]] bool write_refused() const noexcept { return write_refused_; }
  [[nodiscard]] bool take_write_refused() noexcept { return std::exchange(write_refused_, false); }

 private:
  bool lost_ = false;
  bool write_refused_ = false;
};

/// Whether the server itself takes no writes, whatever the session has set: a setting of the session is not what RESET
/// would make of it.
inline constexpr const char* is_server_read_only =
    "select pg_catalog.pg_is_in_recovery() or reset_val = 'on' from pg_catalog.pg_settings "
    "where name = 'default_transaction_read_only'";

/// Whether the connection was made to write: `target_session_attrs` says so, in its string or in libpq's environment.
[[nodiscard]] inline bool is_meant_to_write(PGconn* connection) {
  const ConninfoHandle options{PQconninfo(connection)};
  for (const PQconninfoOption* option = options.get(); option != nullptr && option->keyword != nullptr; ++option) {
    if (std::string_view{option->keyword} != "target_session_attrs" || option->val == nullptr) continue;
    const std::string_view wanted = option->val;
    return wanted == "read-write" || wanted == "primary";
  }
  return false;
}

}  // namespace lido::postgres::detail
