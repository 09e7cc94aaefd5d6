// A script of statements without parameters.
#pragma once

#include <string>
#include <utility>

#include <lido/postgres/detail/operations/exchange.hpp>
#include <lido/postgres/detail/operations/learning.hpp>
#include <lido/postgres/detail/sql/session_state.hpp>
#include <lido/postgres/detail/wire/channel.hpp>
#include <lido/postgres/detail/wire/statement_cache.hpp>
#include <lido/postgres/detail/wire/wait.hpp>
#include <lido/postgres/result.hpp>

namespace lido::postgres::detail {

/// Runs the statements of a script; the outcome is the result of the last one.
class Scripting {
 public:
  /// Throws `QueryError` or `ConnectionLost`.
  Scripting(Channel& channel, std::string sql)
      : sql_{checked(channel, std::move(sql))}, exchange_{channel, sql_, [this, &channel](PGconn* raw) {
                                                            channel.runs(sql_);
                                                            return PQsendQuery(raw, sql_.c_str());
                                                          }} {}

  [[nodiscard]] Socket socket() const noexcept { return exchange_.socket(); }
  [[nodiscard]] Need step() { return exchange_.step(); }
  void give_up(Wake why) { exchange_.give_up(why); }
  [[nodiscard]] Result outcome() { return exchange_.outcome(); }

 private:
  // What is sent of it.
  [[nodiscard]] static std::string checked(const Channel& channel, std::string sql) {
    StatementCache::check_text(sql);
    if (channel.ends_failed(sql)) sql.resize(first_statement(sql).size());
    return sql;
  }

  std::string sql_;
  Learned<Exchange> exchange_;
};

}  // namespace lido::postgres::detail
