// Text is UTF-8 here, whatever the database stores it as.
#pragma once

#include <cstdlib>
#include <string>
#include <string_view>

#include <lido/postgres/detail/connect/connection_string.hpp>
#include <lido/postgres/detail/connect/remote.hpp>

namespace lido::postgres::detail {

/// Sets `client_encoding=UTF8` where neither the string, its `options`, PGCLIENTENCODING, PGOPTIONS nor a service file
/// chooses one. Else the server would take text for what its database stores, and keep other characters of it. What is
/// chosen for a database or a role on the server counts for less: it says what other programs want.
inline void prefer_utf8(ConnectionString& target) {
  if (target.has("client_encoding")) return;
  const char* const chosen = std::getenv("PGCLIENTENCODING");
  if (chosen != nullptr && *chosen != '\0') return;
  const Effective effective{target};
  if (!effective.value("client_encoding").empty()) return;
  if (effective.value("options").find("client_encoding") != std::string::npos) return;
  target.set("client_encoding", "UTF8");
}

}  // namespace lido::postgres::detail
