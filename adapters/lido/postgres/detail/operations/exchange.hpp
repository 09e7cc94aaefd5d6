// One statement, or a script of several, and its answer.
#pragma once

#include <string_view>
#include <utility>

#include <lido/postgres/detail/wire/channel.hpp>
#include <lido/postgres/detail/wire/handle.hpp>
#include <lido/postgres/detail/wire/reply.hpp>
#include <lido/postgres/detail/wire/wait.hpp>

namespace lido::postgres::detail {

/// Gives the connection up, as there is no reading on from where a COPY waits, and throws `QueryError`.
[[noreturn]] inline void refuse_copy(Reply& reply) {
  reply.channel().give_up();
  throw reply.channel().failed(
      reply.sql(), "COPY FROM STDIN needs `copy_in`, COPY TO STDOUT `copy_out`; the connection is given up");
}
[[nodiscard]] inline bool is_copy(const ResultHandle& result) noexcept {
  const ExecStatusType status = PQresultStatus(result.get());
  return status == PGRES_COPY_IN || status == PGRES_COPY_OUT || status == PGRES_COPY_BOTH;
}

/// Sends a statement and collects its answer, step by step. Ended before the answer is complete, it gives the
/// connection up. `sql` has to outlive it.
class Exchange {
 public:
  /// Sends with `send`, which calls one of `PQsend*`. Throws `QueryError` where another statement is under way, or
  /// `ConnectionLost`.
  template <class Send>
  Exchange(Channel& channel, std::string_view sql, Send send) : reply_{channel, sql} {
    reply_.send(send);
  }

  [[nodiscard]] Socket socket() const noexcept { return reply_.socket(); }

  /// Throws `QueryError`, of several errors of one answer the first, which is the cause; or `ConnectionLost`.
  [[nodiscard]] Need step() {
    for (;;) {
      if (const Need need = reply_.step(); need != Need::nothing) return need;
      if (reply_.complete()) break;
      last_ = reply_.result();
      if (is_copy(last_)) refuse_copy(reply_);
    }
    reply_.check();
    return Need::nothing;
  }

  /// Throws `QueryTimeout` or `QueryCancelled`.
  [[noreturn]] void give_up(Wake why) { reply_.give_up(why); }

  /// The result of the last statement, once a step has returned `Need::nothing`.
  [[nodiscard]] ResultHandle result() noexcept { return std::move(last_); }
  [[nodiscard]] std::string_view sql() const noexcept { return reply_.sql(); }

 private:
  Reply reply_;
  ResultHandle last_;
};

}  // namespace lido::postgres::detail
