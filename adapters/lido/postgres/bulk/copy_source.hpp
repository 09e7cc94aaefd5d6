// What `copy_in` takes.
#pragma once

#include <ranges>

#include <lido/postgres/detail/values/copy_source.hpp>

namespace lido::postgres {

/// What `Connection::copy_in` takes: tuples of parameters (or pairs, arrays, structs), which are rows; or text, which
/// is sent as it is, in pieces that may end anywhere.
template <class Rows>
concept CopySource = std::ranges::input_range<Rows> && detail::CopyRow<std::ranges::range_reference_t<Rows>>;

}  // namespace lido::postgres
