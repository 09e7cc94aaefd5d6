// What a statement returned: rows of columns, read as C++ types.
#pragma once

#include <cstddef>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <libpq-fe.h>

#include <lido/postgres/detail/values/read.hpp>
#include <lido/postgres/detail/wire/handle.hpp>
#include <lido/postgres/detail/wire/row_iterator.hpp>
#include <lido/postgres/detail/wire/shared_result.hpp>
#include <lido/postgres/error.hpp>
#include <lido/postgres/row.hpp>
#include <lido/postgres/rows.hpp>
#include <lido/postgres/types/values.hpp>

namespace lido::postgres {

/// What a statement returned, complete and independent of the connection. Copies share it and are cheap.
class Result {
  struct RowReader {
    [[nodiscard]] Row operator()(std::size_t row) const noexcept { return {{result, nullptr}, row}; }
    friend bool operator==(const RowReader&, const RowReader&) = default;
    const detail::SharedResult* result = nullptr;
  };

 public:
  Result() : Result{detail::ResultHandle{PQmakeEmptyPGresult(nullptr, PGRES_EMPTY_QUERY)}} {}
  /// Throws `ResultError` when it is in binary format, which a `FETCH` from a binary cursor is.
  explicit Result(detail::ResultHandle result, std::shared_ptr<const detail::ArrayTypes> types = {},
                  const detail::Origin& origin = {})
      : result_{std::make_shared<const detail::SharedResult>(std::move(result), std::move(types), origin)} {
    if (PQbinaryTuples(raw()) != 0)
      detail::Refused<>::raise(0, "*", "values as text", "values in binary format", origin);
  }

  /// The number of rows returned.
  [[nodiscard]] std::size_t rows() const noexcept { return detail::rows_of(raw()); }
  [[nodiscard]] std::size_t size() const noexcept { return rows(); }
  [[nodiscard]] bool empty() const noexcept { return rows() == 0; }
  [[nodiscard]] std::size_t columns() const noexcept { return detail::columns_of(raw()); }
  /// The name of a column, counted from 0; throws `ResultError` beyond the last.
  [[nodiscard]] std::string column_name(std::size_t column) const {
    if (column >= columns())
      detail::Refused<>::raise(0, std::to_string(column), "a column", columns(), "columns", origin());
    return PQfname(raw(), static_cast<int>(column));
  }

  /// Rows inserted, updated, deleted, moved, fetched or selected; 0 for other statements.
  [[nodiscard]] std::size_t affected_rows() const noexcept {
    std::string_view text = PQcmdTuples(mutable_result());
    return detail::take_number<std::size_t>(text).value_or(0);
  }
  /// What the server says it did, for instance `INSERT 0 1`.
  [[nodiscard]] std::string_view command_tag() const noexcept { return PQcmdStatus(mutable_result()); }

  /// The row with that number, counted from 0; throws `ResultError` beyond the last.
  [[nodiscard]] Row operator[](std::size_t row) const& {
    check(row);
    return {{result_.get(), nullptr}, row};
  }
  [[nodiscard]] Row operator[](std::size_t row) && {
    check(row);
    const detail::SharedResult* const result = result_.get();
    return {{result, std::move(result_)}, row};
  }

  /// The only row, read as by `Row::as`: `one<int>()`, `one<int, std::string>()`, `one<User>()`. Throws `ResultError`,
  /// also when there is not exactly one row.
  template <class... T>
  [[nodiscard]] detail::RowValue<T...> one() const& {
    if (rows() != 1) not_one("one row");
    return (*this)[0].template as<T...>();
  }
  template <class... T>
  [[nodiscard]] detail::RowValue<T...> one() && {
    outlives_result<T...>();
    return std::as_const(*this).template one<T...>();
  }
  /// The same as `one`.
  template <class... T>
  [[nodiscard]] detail::RowValue<T...> as() const& {
    return one<T...>();
  }
  template <class... T>
  [[nodiscard]] detail::RowValue<T...> as() && {
    return std::move(*this).template one<T...>();
  }
  /// As `one`, but nothing when there is no row.
  template <class... T>
  [[nodiscard]] std::optional<detail::RowValue<T...>> optional() const& {
    if (rows() > 1) not_one("at most one row");
    return empty() ? std::nullopt : std::optional{(*this)[0].template as<T...>()};
  }
  template <class... T>
  [[nodiscard]] std::optional<detail::RowValue<T...>> optional() && {
    outlives_result<T...>();
    return std::as_const(*this).template optional<T...>();
  }
  /// All rows, each read as by `Row::as`: `for (auto [id, name] : result.rows_as<int, std::string>())`. Number and
  /// types of the columns are checked at once, throwing `ResultError`, values when they are reached.
  template <class... T>
  [[nodiscard]] TypedRows<T...> rows_as() const {
    return TypedRows<T...>{result_ ? result_ : std::make_shared<const detail::SharedResult>(nullptr)};
  }

  /// Walks over the rows.
  using Iterator = detail::RowIterator<RowReader>;
  [[nodiscard]] Iterator begin() const noexcept { return {{result_.get()}, 0}; }
  [[nodiscard]] Iterator end() const noexcept { return {{result_.get()}, rows()}; }

 private:
  template <class... T>
  static consteval void outlives_result() {
    static_assert(!detail::holds_view(detail::RowColumns<T...>{}),
                  "lido: a std::string_view would point into a result that is gone: keep the result in a variable, or "
                  "read a std::string");
  }
  [[noreturn]] void not_one(const char* wanted) const {
    detail::Refused<>::raise(0, "*", wanted, rows(), "rows", origin());
  }
  void check(std::size_t row) const {
    if (row >= rows()) detail::Refused<>::raise(row, "*", "a row", rows(), "rows", origin());
  }
  [[nodiscard]] detail::Origin origin() const noexcept { return result_ ? result_->origin : detail::Origin{}; }
  // libpq takes these two without const and changes nothing.
  [[nodiscard]] PGresult* mutable_result() const noexcept { return const_cast<PGresult*>(raw()); }
  // Nothing once it was moved from, which libpq takes for an empty result.
  [[nodiscard]] const PGresult* raw() const noexcept { return result_ ? result_->handle.get() : nullptr; }

  std::shared_ptr<const detail::SharedResult> result_;
};

}  // namespace lido::postgres
