// A result, and what all that look at it need to find out only once.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <utility>

#include <libpq-fe.h>

#include <lido/postgres/detail/values/array_types.hpp>
#include <lido/postgres/detail/values/read.hpp>
#include <lido/postgres/detail/wire/handle.hpp>

namespace lido::postgres::detail {

// Stands for a list of types by its address. Not constant, as linkers may fold constants that are alike.
template <class... C>
inline char shape{};

struct SharedResult {
  explicit SharedResult(ResultHandle result, std::shared_ptr<const ArrayTypes> known = {}) noexcept
      : handle{std::move(result)}, types{std::move(known)}, columns{columns_of(handle.get())} {}

  [[nodiscard]] Source source() const noexcept { return {handle.get(), types.get()}; }

  /// As `check_columns`, for the first row of a kind alone: the types of a result's columns do not change.
  template <class... C>
  void check(std::size_t row, TypeList<C...> list) const {
    // Relaxed: whoever sees the address needs nothing else that its writer has done, and whoever does not checks again.
    if (fitting.load(std::memory_order_relaxed) == &shape<C...>) return;
    check_columns(source(), columns, row, list);
    fitting.store(&shape<C...>, std::memory_order_relaxed);
  }

  ResultHandle handle;
  std::shared_ptr<const ArrayTypes> types;  // what was known; null: nothing
  std::size_t columns;
  mutable std::atomic<const char*> fitting{nullptr};  // the types that the columns were last read as
};

}  // namespace lido::postgres::detail
