// The one server that all tests of this program share.
#pragma once

#include <chrono>
#include <exception>
#include <stdexcept>
#include <string>
#include <string_view>
#include <typeinfo>
#include <utility>

#include <lido/error.hpp>
#include <lido/facts.hpp>
#include <lido/postgres/connection.hpp>
#include <lido/postgres/error.hpp>
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
  server().ask("select pg_terminate_backend(" + std::to_string(connection.backend_pid()) + ", 60000)");
}

/// Whether `error` says that the time was over before anything was sent: the connection, if there was one, is good.
inline bool says_not_sent(const std::exception& error) {
  return dynamic_cast<const AcquireTimeout*>(&error) != nullptr ||
         std::string_view{error.what()}.find("not sent") != std::string_view::npos;
}

/// Calls `action(span)`, which gives up after `span`, and again with twice the span where it did before anything was
/// sent: a busy machine may well leave it no time at all.
template <class Action>
void once_sent(Duration span, Action action) {
  for (;; span *= 2) try {
      return static_cast<void>(action(span));
    } catch (const std::exception& error) {
      if (!says_not_sent(error) || span > std::chrono::minutes{1}) throw;
    }
}

/// Calls `action(span)`, which has to be done within `span`, and again with twice the span where it was not.
template <class Action>
void once_in_time(Duration span, Action action) {
  for (;; span *= 2) try {
      return static_cast<void>(action(span));
    } catch (const postgres::QueryTimeout&) {
      if (span > std::chrono::minutes{1}) throw;
    } catch (const AcquireTimeout&) {
      if (span > std::chrono::minutes{1}) throw;
    }
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
