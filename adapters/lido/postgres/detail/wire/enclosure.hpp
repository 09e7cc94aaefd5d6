// A transaction around all that a connection does.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include <libpq-fe.h>

namespace lido::postgres::detail {

class Channel;

/// Stands between a channel and its server, see `Sandbox`. Null in `ConnectionSettings`: nothing does.
class Enclosure {
 public:
  Enclosure() = default;
  Enclosure(const Enclosure&) = delete;
  Enclosure& operator=(const Enclosure&) = delete;
  virtual ~Enclosure() = default;

  /// A connection has been opened. Throws where it is one too many.
  virtual void opened() = 0;
  /// `sql` is about to be sent: what is sent in its place, or nothing for itself. May ask the server, and blocks until
  /// it has answered. Throws `QueryError` or `ConnectionLost`.
  virtual std::optional<std::string> enter(Channel& channel, std::string_view sql) = 0;
  /// Throws `QueryError` where `sql` begins or ends a transaction, which it cannot where it stands.
  virtual void require_none(std::string_view sql) const = 0;
  /// What `real` looks like from within.
  [[nodiscard]] virtual PGTransactionStatusType transaction(PGTransactionStatusType real) const noexcept = 0;
};

}  // namespace lido::postgres::detail
