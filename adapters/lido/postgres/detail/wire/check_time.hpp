// Whether there is time to begin with something.
#pragma once

#include <lido/facts.hpp>
#include <lido/postgres/error.hpp>
#include <lido/postgres/until.hpp>

namespace lido::postgres::detail {

/// Throws when the time is over. A statement sent nevertheless would cost its connection, and a COMMIT would be
/// unknown, for nothing.
inline void check_time(const Until& until) {
  if (until.stop.stop_requested()) throw QueryCancelled{"a stop was requested; the statement was not sent"};
  if (until.left() == Duration::zero()) throw QueryTimeout{"the deadline has passed; the statement was not sent"};
}

}  // namespace lido::postgres::detail
