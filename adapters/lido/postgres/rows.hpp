// All rows of a result, read as C++ types while one walks over them.
#pragma once

#include <cstddef>
#include <memory>
#include <ranges>
#include <utility>

#include <libpq-fe.h>

#include <lido/postgres/detail/values/read.hpp>
#include <lido/postgres/detail/wire/row_iterator.hpp>
#include <lido/postgres/detail/wire/shared_result.hpp>

namespace lido::postgres {

/// The rows of a result as what `Row::as<T...>()` makes of each; a view in the sense of std::ranges, which shares the
/// result. Get one from `Result::rows_as`. An iterator throws `ResultError` for a value that cannot be read; what holds
/// for whole columns has been checked before.
template <class... T>
class TypedRows : public std::ranges::view_interface<TypedRows<T...>> {
  using Shape = detail::RowShape<T...>;
  using Order = decltype(std::declval<const detail::SharedResult&>().template order<Shape>(0));

  struct Reader {
    [[nodiscard]] detail::RowValue<T...> operator()(std::size_t row) const {
      return result->named([&] { return detail::read_row<Shape>(result->source(), row, order); });
    }
    const detail::SharedResult* result = nullptr;
    Order order{};
  };

 public:
  using Iterator = detail::RowIterator<Reader>;

  /// Throws `ResultError` when the columns are not such.
  explicit TypedRows(std::shared_ptr<const detail::SharedResult> result)
      : result_{std::move(result)}, order_{result_->named([this] { return result_->template order<Shape>(0); })} {}

  [[nodiscard]] Iterator begin() const noexcept { return {{result_.get(), order_}, 0}; }
  [[nodiscard]] Iterator end() const noexcept { return {{result_.get(), order_}, size()}; }
  [[nodiscard]] std::size_t size() const noexcept { return detail::rows_of(result_->handle.get()); }

 private:
  std::shared_ptr<const detail::SharedResult> result_;
  Order order_;
};

}  // namespace lido::postgres
