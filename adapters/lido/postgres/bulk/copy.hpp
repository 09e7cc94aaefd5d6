// COPY: rows into a table and out of it, as ranges.
#pragma once

#include <cstddef>
#include <ranges>
#include <string_view>

#include <lido/postgres/bulk/copy_source.hpp>
#include <lido/postgres/bulk/forward.hpp>
#include <lido/postgres/bulk/stream.hpp>
#include <lido/postgres/detail/operations/call.hpp>
#include <lido/postgres/detail/operations/copying_rows.hpp>
#include <lido/postgres/detail/operations/incoming.hpp>
#include <lido/postgres/detail/wire/blocking.hpp>
#include <lido/postgres/detail/wire/wait.hpp>

namespace lido::postgres::detail {

/// `Connection::copy_in`.
template <class Rows>
struct CopyIn {
  static std::size_t run(const Call& call, std::string_view sql, Rows& rows) {
    return Blocking::run(call.until, [&] { return CopyingRows{call.begin(), sql, std::ranges::ref_view{rows}}; });
  }
};

}  // namespace lido::postgres::detail
