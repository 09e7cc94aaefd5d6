// The names of what is sent or read in bulk, of which a unit that does not do so need not know more.
#pragma once

namespace lido::postgres {

class Pipeline;
template <class Rows>
class RowsOf;

namespace detail {

template <class... T>
class IncomingRows;
template <class... T>
class IncomingLines;
// Of `copy_in`.
template <class Rows>
struct CopyIn;

}  // namespace detail

/// The rows of a statement: of `Row` for `Stream<>`, of `T` for `Stream<T>`, whose statement has one column, of tuples
/// for more.
template <class... T>
using Stream = RowsOf<detail::IncomingRows<T...>>;

/// The rows of a COPY ... TO STDOUT. `CopyOut<>` is a range of `std::string_view`, each a row as the server sent it,
/// its line end included; `CopyOut<T>` one of `T`, of the only column, and with more types one of tuples, both of which
/// need the text format as it is by default.
template <class... T>
using CopyOut = RowsOf<detail::IncomingLines<T...>>;

}  // namespace lido::postgres
