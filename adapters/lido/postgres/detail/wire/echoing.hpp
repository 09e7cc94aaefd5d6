// Statements, to whoever is told of them.
#pragma once

#include <string_view>

#include <lido/facts.hpp>
#include <lido/postgres/connection_settings.hpp>
#include <lido/postgres/detail/sql/redact.hpp>

namespace lido::postgres::detail {

/// Tells `echo`, which there is.
inline void tell(const Echo& echo, std::string_view sql, Duration took) noexcept {
  try {
    echo(without_passwords(sql), took);
  } catch (...) {  // a log that fails must not undo a statement that did not
  }
}

}  // namespace lido::postgres::detail
