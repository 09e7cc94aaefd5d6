// How the socket of a session is left before PQfinish says goodbye.
#pragma once

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <exception>
#include <optional>

#include <lido/facts.hpp>
#include <lido/postgres/detail/wire/cancelling.hpp>
#include <lido/postgres/detail/wire/handle.hpp>
#include <lido/postgres/detail/wire/wait.hpp>

namespace lido::postgres::detail {

/// After fork() the session is the parent's: the goodbye must not reach the server.
inline void part_in_child(ConnectionHandle& connection) noexcept {
  const int nowhere = ::open("/dev/null", O_RDWR | O_CLOEXEC);
  if (nowhere < 0 || ::dup2(nowhere, PQsocket(connection.get())) < 0) static_cast<void>(connection.release());
  if (nowhere >= 0) ::close(nowhere);
}

/// The session was given up. `request`: its statement is being cancelled.
inline void part_at_once(PGconn* connection, const std::optional<Cancelling>& request) noexcept {
  // A pooler between here and the server forgets whom to cancel as soon as this connection ends.
  if (request) {
    try {
      const Until soon{saturating_add(Clock::now(), std::chrono::milliseconds{100})};
      static_cast<void>(wait_for(request->socket(), Need::readable, soon));
    } catch (const std::exception&) {  // no poll(2), no patience
    }
  }
  ::shutdown(PQsocket(connection), SHUT_RDWR);  // so that the goodbye cannot wait for a peer that is gone
}

}  // namespace lido::postgres::detail
