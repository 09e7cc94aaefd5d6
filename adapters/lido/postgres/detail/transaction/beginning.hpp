// The begin of a transaction, as an operation.
#pragma once

#include <optional>
#include <string>
#include <utility>

#include <lido/postgres/detail/operations/exchange.hpp>
#include <lido/postgres/detail/sql/redact.hpp>
#include <lido/postgres/detail/sql/session_state.hpp>
#include <lido/postgres/detail/transaction/begin.hpp>
#include <lido/postgres/detail/wire/channel.hpp>
#include <lido/postgres/detail/wire/handle.hpp>
#include <lido/postgres/detail/wire/name_scope.hpp>
#include <lido/postgres/detail/wire/statement_cache.hpp>
#include <lido/postgres/detail/wire/wait.hpp>
#include <lido/postgres/error.hpp>
#include <lido/postgres/result.hpp>
#include <lido/postgres/transaction.hpp>

namespace lido::postgres::detail {

/// BEGIN, with all that options add to it, in one round trip.
class Beginning {
 public:
  /// Throws `InvalidOption`, `QueryError` or `ConnectionLost`.
  Beginning(Channel& channel, const TransactionOptions& options)
      : script_{prepared(channel, options)},
        channel_{channel},
        within_{channel.transaction() != PQTRANS_IDLE},
        exchange_{channel, script_.shown, [this](PGconn* raw) { return PQsendQuery(raw, script_.sql.c_str()); }} {}

  [[nodiscard]] Socket socket() const noexcept { return exchange_.socket(); }
  [[nodiscard]] Need step() { return exchange_.step(script_); }
  [[noreturn]] void give_up(Wake why) { exchange_.give_up(why); }
  /// That of the last statement which this takes.
  [[nodiscard]] Result outcome() {
    within_ ? channel_.names().runs(Renames::session) : channel_.names().begins(script_.names);
    if (script_.untold) channel_.names().runs(Renames::untold);
    return Result{exchange_.result()};
  }

 private:
  [[nodiscard]] static Begin prepared(Channel& channel, const TransactionOptions& options) {
    Begin script = begin_script(channel.raw(), options, channel.settings().enclosure != nullptr);
    StatementCache::check_text(script.sql);
    channel.leaves(Leaves::nothing);
    channel.names().look(channel.transaction());
    return script;
  }

  /// Of what the server says the values are taken out.
  struct Asking : Exchange {
    using Exchange::Exchange;
    [[nodiscard]] Need step(const Begin& script) {
      const Need need = read([this](ResultHandle result) { keep(std::move(result)); });
      if (need != Need::nothing) return need;
      if (std::optional<Diagnostics>& error = reply().error())
        for (std::string* const text : {&error->message, &error->detail, &error->hint, &error->context})
          for (const std::string& value : script.values) *text = without_secret(std::move(*text), value);
      reply().check();
      return need;
    }
  };

  Begin script_;
  Channel& channel_;
  bool within_;  // another one is open, of which the server only warns
  Asking exchange_;
};

}  // namespace lido::postgres::detail
