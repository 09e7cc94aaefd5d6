// COPY: rows into a table and out of it, as ranges.
#pragma once

#include <ranges>

#include <lido/postgres/bulk/stream.hpp>
#include <lido/postgres/detail/operations/copying_rows.hpp>
#include <lido/postgres/detail/operations/incoming.hpp>

namespace lido::postgres {

/// What `Connection::copy_in` takes: tuples of parameters (or pairs, arrays, structs), which are rows; or text, which
/// is sent as it is, in pieces that may end anywhere.
template <class Rows>
concept CopySource = std::ranges::input_range<Rows> && detail::CopyRow<std::ranges::range_reference_t<Rows>>;

/// The rows of a COPY ... TO STDOUT. `CopyOut<>` is a range of `std::string_view`, each a row as the server sent it,
/// its line end included; `CopyOut<T>` one of `T`, of the only column, and with more types one of tuples, both of which
/// need the text format as it is by default.
template <class... T>
using CopyOut = RowsOf<detail::IncomingLines<T...>>;

}  // namespace lido::postgres
