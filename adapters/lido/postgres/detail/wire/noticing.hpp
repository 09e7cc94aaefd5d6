// Notices, from libpq to whoever listens.
#pragma once

#include <source_location>

#include <libpq-fe.h>

#include <lido/postgres/detail/sql/redact.hpp>
#include <lido/postgres/detail/wire/diagnose.hpp>
#include <lido/postgres/notice.hpp>

namespace lido::postgres::detail {

/// Tells `listener`, if there is one. Nothing is thrown through libpq, which calls this.
inline void tell(const NoticeListener& listener, const PGresult* notice, const std::source_location& where,
                 int pid) noexcept {
  if (!listener) return;
  try {
    listener({.severity = severity_of(notice),
              .sqlstate = field(notice, PG_DIAG_SQLSTATE),
              .message = without_passwords(field(notice, PG_DIAG_MESSAGE_PRIMARY)),
              .detail = without_passwords(field(notice, PG_DIAG_MESSAGE_DETAIL)),
              .hint = without_passwords(field(notice, PG_DIAG_MESSAGE_HINT)),
              .context = without_passwords(field(notice, PG_DIAG_CONTEXT)),
              .where = where,
              .pid = pid});
  } catch (...) {  // a listener that fails must not undo a statement that did not
  }
}

}  // namespace lido::postgres::detail
