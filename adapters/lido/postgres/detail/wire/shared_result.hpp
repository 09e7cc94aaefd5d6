// A result, and what all that look at it need to find out only once.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstring>
#include <memory>
#include <source_location>
#include <string_view>
#include <utility>
#include <vector>

#include <libpq-fe.h>

#include <lido/postgres/detail/sql/redact.hpp>
#include <lido/postgres/detail/values/array_types.hpp>
#include <lido/postgres/detail/values/read.hpp>
#include <lido/postgres/detail/wire/handle.hpp>
#include <lido/postgres/error.hpp>

namespace lido::postgres::detail {

// Stands for a list of types by its address. Not constant, as linkers may fold constants that are alike.
template <class... C>
inline char shape{};

/// Where a result comes from.
struct Origin {
  std::string_view statement{};  // the begin of it, which lives in the result, or in its owner
  std::source_location where{};
  std::shared_ptr<const void> owner{};
};

/// A statement as its result keeps it: copied into the memory that libpq has for that, so that nothing is allocated.
[[nodiscard]] inline Origin origin_of(PGresult* result, std::string_view sql,
                                      const std::source_location& where) noexcept {
  const std::string_view shown = kept_of(sql);
  void* const copy = result == nullptr ? nullptr : PQresultAlloc(result, shown.size() + 1);
  if (copy == nullptr) return {{}, where, {}};
  std::memcpy(copy, shown.data(), shown.size());
  return {{static_cast<const char*>(copy), shown.size()}, where, {}};
}

/// What is asked of a result and not there. Not inline, as `ErrorText`.
template <class Form = void>
struct Refused {
  [[nodiscard]] static Diagnostics about(const Origin& origin);
  /// Throws the same with its origin, unless it has one or none is known.
  static void locate(const ResultError& error, const Origin& origin);
  /// Throws.
  [[noreturn]] static void raise(std::size_t row, std::string_view column, std::string_view wanted,
                                 std::string_view actual, const Origin& origin);
  /// The same for so many `what`.
  [[noreturn]] static void raise(std::size_t row, std::string_view column, std::string_view wanted, std::size_t count,
                                 std::string_view what, const Origin& origin);
};

template <class Form>
Diagnostics Refused<Form>::about(const Origin& origin) {
  return {.statement = shown_of_kept(origin.statement), .where = origin.where};
}

template <class Form>
void Refused<Form>::locate(const ResultError& error, const Origin& origin) {
  if (error.where().line() != 0 || origin.where.line() == 0) return;
  throw ResultError{error.row(), error.column(), error.wanted(), error.actual(), about(origin)};
}

template <class Form>
void Refused<Form>::raise(std::size_t row, std::string_view column, std::string_view wanted, std::string_view actual,
                          const Origin& origin) {
  throw ResultError{row, std::string{column}, std::string{wanted}, std::string{actual}, about(origin)};
}

template <class Form>
void Refused<Form>::raise(std::size_t row, std::string_view column, std::string_view wanted, std::size_t count,
                          std::string_view what, const Origin& origin) {
  raise(row, column, wanted, std::to_string(count).append(1, ' ').append(what), origin);
}

struct SharedResult {
  explicit SharedResult(ResultHandle result, std::shared_ptr<const ArrayTypes> known = {}, Origin from = {}) noexcept
      : handle{std::move(result)},
        types{std::move(known)},
        columns{columns_of(handle.get())},
        origin{std::move(from)} {}

  SharedResult(const SharedResult&) = delete;
  SharedResult& operator=(const SharedResult&) = delete;
  ~SharedResult() {
    for (const Found* found = finds.load(std::memory_order_acquire); found != nullptr;)
      delete std::exchange(found, found->next);
  }

  /// What an error of reading it says of where it comes from.
  [[nodiscard]] Diagnostics about() const { return Refused<>::about(origin); }
  /// What `read` returns; an error of it says where the result comes from.
  template <class Read>
  decltype(auto) named(Read read) const {
    try {
      return read();
    } catch (const ResultError& error) {
      Refused<>::locate(error, origin);
      throw;
    }
  }

  [[nodiscard]] Source source() const noexcept { return {handle.get(), types.get()}; }

  /// Which columns a `Shape` is read from. Checks them, for the first row of a kind alone: the names and types of a
  /// result's columns do not change. Valid as long as this. Throws `ResultError`.
  template <class Shape>
  [[nodiscard]] auto order(std::size_t row) const {
    if constexpr (Shape::by_name) {
      for (const Found* found = finds.load(std::memory_order_acquire); found != nullptr; found = found->next)
        if (found->shape == &shape<Shape>) return found->order.data();
      auto added = std::make_unique<Found>(&shape<Shape>, find_and_check<Shape>(source(), row));
      added->next = finds.load(std::memory_order_relaxed);
      while (!finds.compare_exchange_weak(added->next, added.get(), std::memory_order_release,
                                          std::memory_order_relaxed)) {
      }
      return std::as_const(added.release()->order).data();
    } else {
      check(row, typename Shape::Columns{});
      return InOrder{};
    }
  }

  ResultHandle handle;
  std::shared_ptr<const ArrayTypes> types;  // what was known; null: nothing
  std::size_t columns;
  Origin origin;

 private:
  template <class... C>
  void check(std::size_t row, TypeList<C...> list) const {
    // Relaxed: whoever sees the address needs nothing else that its writer has done, and whoever does not checks again.
    if (fitting.load(std::memory_order_relaxed) == &shape<C...>) return;
    check_columns(source(), columns, row, list);
    fitting.store(&shape<C...>, std::memory_order_relaxed);
  }

  // Which columns a kind of struct is read from: one for each kind that the result was read as, never taken away.
  struct Found {
    Found(const char* kind, std::vector<unsigned> columns_of_it) : shape{kind}, order{std::move(columns_of_it)} {}
    const char* shape;
    std::vector<unsigned> order;
    Found* next = nullptr;
  };

  mutable std::atomic<const char*> fitting{nullptr};  // the types that the columns were last read as
  mutable std::atomic<Found*> finds{nullptr};
};

}  // namespace lido::postgres::detail
