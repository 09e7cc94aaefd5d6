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

/// The answer to a statement, of whose results one is kept. Ended before it is complete, it gives the connection up.
/// `sql` has to outlive it.
class Answer {
 public:
  [[nodiscard]] Socket socket() const noexcept { return reply_.socket(); }
  /// Throws `QueryTimeout` or `QueryCancelled`.
  [[noreturn]] void give_up(Wake why) { reply_.give_up(why); }

  /// What the statement returned, once a step has returned `Need::nothing`.
  [[nodiscard]] ResultHandle result() noexcept { return std::move(kept_); }
  [[nodiscard]] std::string_view sql() const noexcept { return reply_.sql(); }

 protected:
  Answer(Channel& channel, std::string_view sql) : reply_{channel, sql} {}
  ~Answer() = default;

  [[nodiscard]] Reply& reply() noexcept { return reply_; }
  void keep(ResultHandle result) noexcept {
    reply_.returned(result.get());
    kept_ = std::move(result);
  }
  /// Reads on and calls `take` with each result. `Need::nothing`: the answer is complete. Throws `ConnectionLost`.
  template <class Take>
  [[nodiscard]] Need read(Take take) {
    for (;;) {
      if (const Need need = reply_.step(); need != Need::nothing || reply_.complete()) return need;
      ResultHandle result = reply_.result();
      if (is_copy(result)) refuse_copy(reply_);
      take(std::move(result));
    }
  }

 private:
  Reply reply_;
  ResultHandle kept_;
};

/// Sends a statement and collects its answer, step by step.
class Exchange : public Answer {
 public:
  /// Sends with `send`, which calls one of `PQsend*`. Throws `QueryError` where another statement is under way, or
  /// `ConnectionLost`.
  template <class Send>
  Exchange(Channel& channel, std::string_view sql, Send send) : Answer{channel, sql} {
    reply().send(send);
  }

  /// Throws `QueryError`, of several errors of one answer the first, which is the cause; or `ConnectionLost`.
  [[nodiscard]] Need step() {
    const Need need = read([this](ResultHandle result) { keep(std::move(result)); });
    if (need == Need::nothing) reply().check();
    return need;
  }
};

}  // namespace lido::postgres::detail
