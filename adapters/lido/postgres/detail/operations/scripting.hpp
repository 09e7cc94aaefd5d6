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

/// Statements without parameters; `shown` is what may be told of them.
class Scripting {
 public:
  Scripting(Channel& channel, const std::string& sql) : Scripting{channel, sql, sql} {}
  Scripting(Channel& channel, std::string sql, std::string shown)
      : sql_{std::move(sql)}, shown_{std::move(shown)}, exchange_{channel, shown_, [&](PGconn* raw) {
                                                                    StatementCache::check_text(sql_);
                                                                    channel.runs(sql_);
                                                                    if (channel.ends_failed(sql_))
                                                                      sql_.resize(first_statement(sql_).size());
                                                                    return PQsendQuery(raw, sql_.c_str());
                                                                  }} {}

  [[nodiscard]] Socket socket() const noexcept { return exchange_.socket(); }
  [[nodiscard]] Need step() { return exchange_.step(); }
  void give_up(Wake why) { exchange_.give_up(why); }
  [[nodiscard]] Result outcome() { return exchange_.outcome(); }

 private:
  std::string sql_;
  std::string shown_;
  Learned<Exchange> exchange_;
};

}  // namespace lido::postgres::detail
