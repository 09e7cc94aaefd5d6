// An operation that owns what it is about: its caller does not wait with its arguments in hand.
#pragma once

#include <string>
#include <utility>

#include <lido/postgres/detail/operations/execution.hpp>
#include <lido/postgres/detail/operations/learning.hpp>
#include <lido/postgres/detail/values/bound.hpp>
#include <lido/postgres/detail/wire/channel.hpp>
#include <lido/postgres/detail/wire/wait.hpp>
#include <lido/postgres/result.hpp>

namespace lido::postgres::detail {

/// One statement with parameters.
class Executing {
 public:
  Executing(Channel& channel, std::string sql, StoredParameters parameters)
      : sql_{std::move(sql)},
        parameters_{std::move(parameters)},
        bound_{parameters_.bound()},
        execution_{channel, sql_, bound_} {}

  [[nodiscard]] Socket socket() const noexcept { return execution_.socket(); }
  [[nodiscard]] Need step() { return execution_.step(); }
  void give_up(Wake why) { execution_.give_up(why); }
  [[nodiscard]] Result outcome() { return execution_.outcome(); }

 private:
  std::string sql_;
  StoredParameters parameters_;
  Bound bound_;
  Learned<Execution> execution_;
};

// It may be compiled elsewhere.
#if __has_include(<lido_postgres_compiled.hpp>)
extern template class Learned<Execution>;
extern template Learned<Execution>::Learned(Channel&, const std::string&, const Bound&);
#endif

}  // namespace lido::postgres::detail
