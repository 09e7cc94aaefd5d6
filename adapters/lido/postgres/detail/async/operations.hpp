// An operation that owns what it is about: its caller does not wait with its arguments in hand.
#pragma once

#include <string_view>
#include <utility>

#include <lido/postgres/detail/operations/execution.hpp>
#include <lido/postgres/detail/operations/learning.hpp>
#include <lido/postgres/detail/values/bound.hpp>
#include <lido/postgres/detail/values/kept_statement.hpp>
#include <lido/postgres/detail/wire/channel.hpp>
#include <lido/postgres/detail/wire/wait.hpp>
#include <lido/postgres/result.hpp>

namespace lido::postgres::detail {

/// One statement with parameters.
class Executing {
 public:
  Executing(Channel& channel, KeptStatement statement)
      : statement_{std::move(statement)}, execution_{channel, statement_.sql(), statement_.bound()} {}

  [[nodiscard]] Socket socket() const noexcept { return execution_.socket(); }
  [[nodiscard]] Need step() { return execution_.step(); }
  void give_up(Wake why) { execution_.give_up(why); }
  [[nodiscard]] Result outcome() { return execution_.outcome(); }

 private:
  KeptStatement statement_;
  Learned<Execution> execution_;
};

// It may be compiled elsewhere.
#if __has_include(<lido_postgres_compiled.hpp>)
extern template class Learned<Execution>;
extern template Learned<Execution>::Learned(Channel&, const std::string_view&, const Bound&);
#endif

}  // namespace lido::postgres::detail
