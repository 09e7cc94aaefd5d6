// One statement and its answer.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <lido/postgres/detail/channel.hpp>
#include <lido/postgres/detail/diagnose.hpp>
#include <lido/postgres/detail/handle.hpp>
#include <lido/postgres/detail/wait.hpp>
#include <lido/postgres/error.hpp>

namespace lido::postgres::detail {

/// Sends a statement and collects its answer, step by step. Ended before the answer is complete, it gives the
/// connection up: a reply on its way must not reach the next statement. `sql` has to outlive it.
class Exchange {
 public:
  /// Sends with `send`, which calls one of `PQsend*`. Throws `QueryError` or `ConnectionLost`.
  template <class Send>
  Exchange(Channel& channel, std::string_view sql, Send send) : channel_{channel}, sql_{sql} {
    if (!channel.is_ours()) throw channel.lost(sql, "the connection belongs to the parent process");
    if (!channel.usable()) throw channel.lost(sql, "the connection is not usable any more");
    if (!channel.quiet()) throw Channel::failed(sql, "another statement is under way on this connection");
    if (send(channel.raw()) != 0) return;
    const std::string message = one_line(PQerrorMessage(channel.raw()));
    if (PQstatus(channel.raw()) == CONNECTION_OK && channel.transaction() != PQTRANS_ACTIVE)
      throw Channel::failed(sql, message);
    throw channel.lost(sql, message);
  }
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;
  ~Exchange() {
    if (!complete_) channel_.give_up();
  }

  [[nodiscard]] int socket() const noexcept { return channel_.socket(); }

  /// Throws `QueryError`, of several errors of one answer the first, which is the cause; or `ConnectionLost`.
  [[nodiscard]] Need step() {
    // Before the first wait nothing has come: looking would be a system call for nothing.
    const bool ended = std::exchange(waited_, true) && !channel_.consume();
    for (;;) {
      if (!ended)
        if (const Need need = channel_.pending(); need != Need::nothing) return need;
      ResultHandle result{PQgetResult(channel_.raw())};
      if (!result) break;
      take(std::move(result));
    }
    if (PQstatus(channel_.raw()) != CONNECTION_OK) throw channel_.lost(sql_, one_line(PQerrorMessage(channel_.raw())));
    complete_ = true;
    if (error_) {
      const std::string message = error_->message;
      throw QueryError{message, *std::move(error_)};
    }
    return Need::nothing;
  }

  /// Throws `QueryTimeout` or `QueryCancelled`.
  [[noreturn]] void give_up(Wake why) { channel_.give_up(why, sql_); }

  /// The result of the last statement, once a step has returned `Need::nothing`.
  [[nodiscard]] ResultHandle result() noexcept { return std::move(last_); }

 private:
  void take(ResultHandle result) {
    switch (PQresultStatus(result.get())) {
      case PGRES_TUPLES_OK:
      case PGRES_COMMAND_OK:
      case PGRES_EMPTY_QUERY:
        last_ = std::move(result);
        return;
      case PGRES_COPY_IN:
      case PGRES_COPY_OUT:
      case PGRES_COPY_BOTH:
        throw Channel::failed(sql_, "COPY needs its own interface (native()); the connection is given up");
      default:
        if (!error_) error_ = channel_.diagnose(result.get(), sql_);
        if (is_fatal(*error_) || PQstatus(channel_.raw()) != CONNECTION_OK) throw channel_.lost(*std::move(error_));
    }
  }

  Channel& channel_;
  std::string_view sql_;
  ResultHandle last_;
  std::optional<Diagnostics> error_;
  bool waited_ = false;
  bool complete_ = false;
};

}  // namespace lido::postgres::detail
