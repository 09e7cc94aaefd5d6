// Several statements in one round trip.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <lido/postgres/detail/operations/learning.hpp>
#include <lido/postgres/detail/operations/pipelining.hpp>
#include <lido/postgres/detail/operations/queue.hpp>
#include <lido/postgres/detail/sql/redact.hpp>
#include <lido/postgres/detail/values/bound.hpp>
#include <lido/postgres/detail/values/parameters.hpp>
#include <lido/postgres/detail/wire/channel.hpp>
#include <lido/postgres/detail/wire/wait.hpp>
#include <lido/postgres/error.hpp>
#include <lido/postgres/result.hpp>
#include <lido/postgres/sql.hpp>

namespace lido::postgres {

/// A list of statements with their parameters, for `Connection::run`. Talks to nobody, owns what it is given, and can
/// be run again.
class Pipeline {
 public:
  /// Appends a statement. Throws `QueryError` when a text holds a zero byte.
  template <detail::Parameter... T>
  Pipeline& add(const Sql& sql, const T&... parameters) {
    const detail::Parameters<sizeof...(T)> bound{parameters...};
    statements_.add(sql.text, sql.where, detail::bound_of(bound));
    return *this;
  }
  [[nodiscard]] std::size_t size() const noexcept { return statements_.size(); }
  [[nodiscard]] bool empty() const noexcept { return statements_.empty(); }
  void clear() noexcept { statements_.clear(); }

  /// For what runs it.
  [[nodiscard]] const detail::StatementQueue& statements() const noexcept { return statements_; }

 private:
  detail::StatementQueue statements_;
};

/// A statement of a pipeline was refused; those behind it were not run. The connection is still good. Unless the
/// pipeline itself says `BEGIN` or `COMMIT`, those before it are undone.
class [[gnu::visibility("default")]] PipelineError : public QueryError {
 public:
  PipelineError(std::size_t index, std::vector<Result> before, std::size_t size, Diagnostics diagnostics)
      : QueryError{"statement [" + std::to_string(index) + "] of a pipeline of " + std::to_string(size) + " (" +
                       diagnostics.statement + "): " + diagnostics.message + "; " +
                       std::to_string(index < size ? size - index - 1 : 0) + " behind it were not run",
                   std::move(diagnostics)},
        index_{index},
        before_{std::make_shared<const std::vector<Result>>(std::move(before))} {}

  /// The statement that was refused, counted from 0.
  [[nodiscard]] std::size_t index() const noexcept { return index_; }
  /// What the statements before it returned, one result each.
  [[nodiscard]] const std::vector<Result>& before() const noexcept { return *before_; }

 private:
  std::size_t index_;
  std::shared_ptr<const std::vector<Result>> before_;
};

namespace detail {

/// The results of a pipeline that has run. Throws `PipelineError`.
[[nodiscard]] inline std::vector<Result> results_of(Pipelining& pipelining, const StatementQueue& statements,
                                                    const std::shared_ptr<const ArrayTypes>& types) {
  std::optional<Diagnostics>& error = pipelining.error();
  const std::size_t count = error ? pipelining.failed_statement() : statements.size();
  std::vector<Result> results;
  results.reserve(count);
  for (std::size_t i = 0; i < count; ++i) {
    const QueuedStatement& statement = statements[i];
    results.emplace_back(std::move(pipelining.results()[i]), types,
                         Origin{kept_of(statement.sql()), statement.where, statement.text});
  }
  if (!error) return results;
  // An error at the very end, as of a deferred constraint, is that of the implicit COMMIT.
  if (count < statements.size()) error->where = statements[count].where;
  error->statement = count < statements.size() ? without_passwords(statements[count].sql()) : "COMMIT";
  throw PipelineError{count, std::move(results), statements.size(), *std::move(error)};
}

/// Runs the statements of a pipeline, which is `Kept` for as long: a `Pipeline`, or a reference to one.
template <class Kept>
class Running {
 public:
  Running(Channel& channel, Kept pipeline) : channel_{channel}, pipeline_{std::forward<Kept>(pipeline)} {
    if (!pipeline_.empty()) pipelining_.emplace(channel, pipeline_.statements());
  }

  [[nodiscard]] Socket socket() const noexcept { return learning_ ? learning_->socket() : socket_of(pipelining_); }
  [[nodiscard]] Need step() {
    if (!pipelining_) return Need::nothing;
    if (!learning_) {
      if (const Need need = pipelining_->step(); need != Need::nothing) return need;
      learning_.emplace(channel_);
      for (const ResultHandle& result : pipelining_->results()) learning_->look_at(result.get());
    }
    return learning_->step();
  }
  void give_up(Wake why) {
    if (learning_)
      learning_->give_up(why);
    else if (pipelining_)
      pipelining_->give_up(why);
  }
  [[nodiscard]] std::vector<Result> outcome() {
    return pipelining_ ? results_of(*pipelining_, pipeline_.statements(), channel_.array_types())
                       : std::vector<Result>{};
  }

 private:
  Channel& channel_;
  Kept pipeline_;
  std::optional<Pipelining> pipelining_;
  std::optional<Learning> learning_;
};

}  // namespace detail

}  // namespace lido::postgres
