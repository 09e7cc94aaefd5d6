// Looking at sessions from outside.
#pragma once

#include <chrono>
#include <string>

#include <lido/facts.hpp>
#include <lido/postgres/connection.hpp>
#include <postgres/server.hpp>

namespace lido::test {

/// Waits until the server has sent the whole answer.
inline void wait_for_idle(postgres::Connection& connection) {
  const std::string pid = std::to_string(connection.backend_pid());
  PostgresServer::wait_until("the statement has ended", [&] {
    return server().ask("select count(*) from pg_stat_activity where state <> 'active' and pid = " + pid) == "1";
  });
}

/// Waits until the session runs something.
inline void wait_for_active(const std::string& pid) {
  PostgresServer::wait_until("the statement runs", [&] {
    return server().ask("select count(*) from pg_stat_activity where state = 'active' and pid = " + pid) == "1";
  });
}

/// Calls `leave(connection)`, which leaves rows before their end. Two seconds are there to cancel the rest and to read
/// it: where a busy machine has not sufficed with them, once more with `another()`. A connection that is given up any
/// sooner is left as it is.
template <class Leave, class Another>
void leave_rows(postgres::Connection& connection, Leave leave, Another another) {
  for (int tries = 1;; ++tries) {
    const TimePoint begun = Clock::now();
    leave(connection);
    if (connection.is_usable() || Clock::now() - begun < std::chrono::seconds{2} || tries == 5) return;
    connection = another();
  }
}
template <class Leave>
void leave_rows(postgres::Connection& connection, Leave leave) {
  leave_rows(connection, leave, [] { return connect(); });
}

}  // namespace lido::test
