// What can be a row of a COPY.
#pragma once

#include <concepts>
#include <string_view>

#include <lido/postgres/detail/values/copy_text.hpp>

namespace lido::postgres::detail {

/// Text that is sent as it is.
template <class Row>
concept CopyText = std::convertible_to<Row, std::string_view>;

/// A tuple of parameters, a struct, or text that is sent as it is.
template <class Row>
concept CopyRow = CopyText<Row> || Copyable<Row>;

}  // namespace lido::postgres::detail
