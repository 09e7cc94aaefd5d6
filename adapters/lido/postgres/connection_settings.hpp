// What one connection remembers: how it is reset, who is told of its statements, where it goes.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <mutex>
#include <ostream>
#include <string>
#include <string_view>

#include <lido/facts.hpp>
#include <lido/postgres/notice.hpp>
#include <lido/postgres/target.hpp>

namespace lido::postgres {

namespace detail {
class Enclosure;
}  // namespace detail

/// How thoroughly a connection is put in order between two holders: a ladder on which each rung guarantees what the
/// one before it does. On every rung a connection is closed that comes back with a statement, a COPY or a pipeline
/// under way, and what was set on libpq's handle through `native()` is put back. What each leaves behind is a table in
/// reset.md, which a test prints.
enum class ResetLevel : std::uint8_t {
  none,      ///< free; a connection that comes back inside a transaction is closed
  rollback,  ///< a round trip if a transaction is open; session state (SET, LISTEN, locks, ...) stays
  /// And DISCARD ALL, a round trip, if a statement was run that may have left session state. A statement is known to
  /// leave none by its text: it reads and writes rows, and calls nothing but PostgreSQL's own functions. Where the text
  /// leaves that open, it may have. What no text can tell is not seen: what is done by functions behind operators,
  /// casts, triggers, rules, defaults, generated columns, domains and views, by one that is called as an attribute
  /// (`u.remember`), and by one that has the name of a function of PostgreSQL 15 and other parameters, or stands before
  /// it in the search_path. What a function prepares stays as well, until DISCARD ALL. What DISCARD ALL leaves (a
  /// replication origin, a backup, temporary replication slots) has the connection closed, here and on the next rung.
  targeted,
  /// And DISCARD ALL, if any statement was run. Where none is known to have left anything it is sent and not waited
  /// for: the server lets go at once of what no text tells, locks, LISTEN and temporary tables too, and the answer
  /// comes with that to the next holder's first statement.
  discard_all,
  reopen,  ///< closed if any statement was run: the next holder pays for a new session, which is free of all
};

/// As connection strings and the environment spell it.
[[nodiscard]] constexpr std::string_view to_string(ResetLevel level) noexcept {
  switch (level) {
    case ResetLevel::none:
      return "none";
    case ResetLevel::rollback:
      return "rollback";
    case ResetLevel::targeted:
      return "targeted";
    case ResetLevel::discard_all:
      return "discard_all";
    case ResetLevel::reopen:
      return "reopen";
    default:
      return "unknown";
  }
}

/// Told of each statement after it ran, with its text (no parameters, no passwords) and how long it took. Called by the
/// threads that run the statements; what it throws is ignored.
using Echo = std::function<void(std::string_view sql, Duration took)>;

/// An `Echo` that writes one line a statement. `out` must outlive every pool that has it.
[[nodiscard]] inline Echo echo_to(std::ostream& out) {
  return [&out, mutex = std::make_shared<std::mutex>()](std::string_view sql, Duration took) {
    const auto micros = std::chrono::duration_cast<std::chrono::microseconds>(took).count();
    const std::scoped_lock lock{*mutex};
    out << '[' << micros << " us] " << sql << '\n';
  };
}

/// What one connection remembers; a pool fills it from its `Options`.
struct ConnectionSettings {
  std::string application_name{};                  ///< see `Options::application_name`
  Duration statement_timeout = Duration::max();    ///< see `Options::statement_timeout`
  ResetLevel reset = ResetLevel::targeted;         ///< see `Options::reset`
  std::size_t statement_cache = 128;               ///< see `Options::statement_cache`
  Echo echo{};                                     ///< see `Options::echo`
  bool load_balance_hosts = false;                 ///< see `Options::load_balance_hosts`
  Duration max_lag = Duration::max();              ///< see `Options::max_lag`
  PasswordSource password{};                       ///< see `Options::password`
  TargetSource target{};                           ///< see `Options::target`
  NoticeListener on_notice{};                      ///< see `Options::on_notice`
  std::shared_ptr<detail::Enclosure> enclosure{};  ///< for `Sandbox`; null: none
};

}  // namespace lido::postgres
