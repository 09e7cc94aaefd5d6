// The one server that all tests of this program share.
#pragma once

#include <chrono>
#include <stdexcept>
#include <string>
#include <typeinfo>
#include <utility>

#include <lido/facts.hpp>
#include <lido/postgres/connection.hpp>
#include <support/postgres_server.hpp>

namespace lido::test {

/// Started by the first test that needs it, in the main thread.
inline PostgresServer& server() {
  static PostgresServer instance;
  return instance;
}

/// A deadline that only a failure reaches: a shared machine may leave a process without the processor for half a
/// minute.
inline TimePoint soon() { return Clock::now() + std::chrono::minutes{1}; }

inline postgres::Connection connect(postgres::ConnectionSettings settings = {}) {
  return postgres::Connection::connect(server().conninfo(), soon(), {}, std::move(settings));
}

/// Ends the session of `connection` and waits until the server is rid of it.
inline void terminate(postgres::Connection& connection) {
  server().ask("select pg_terminate_backend(" + std::to_string(connection.backend_pid()) + ", 5000)");
}

/// What `action` throws, which must be an `Exception` and nothing derived from it.
template <class Exception, class Action>
Exception caught(Action action) {
  try {
    action();
  } catch (const Exception& error) {
    // A copy is not what was thrown if that was of a derived class; a test that wants the base means the base.
    if (typeid(error) != typeid(Exception)) throw;
    return error;
  }
  throw std::logic_error{"nothing was thrown"};
}

}  // namespace lido::test
