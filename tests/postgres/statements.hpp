// Looking at sessions from outside.
#pragma once

#include <string>

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

}  // namespace lido::test
