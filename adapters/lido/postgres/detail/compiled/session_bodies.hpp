// How the transaction of a session begins and ends, and its savepoints.
#pragma once

#include <optional>
#include <source_location>
#include <string>
#include <utility>

#include <lido/postgres/detail/sql/savepoint_script.hpp>
#include <lido/postgres/detail/transaction/transacting.hpp>
#include <lido/postgres/detail/wire/channel.hpp>
#include <lido/postgres/detail/wire/check_time.hpp>
#include <lido/postgres/detail/wire/wait.hpp>
#include <lido/postgres/session_statements.hpp>
#include <lido/postgres/transaction.hpp>
#include <lido/postgres/until.hpp>

namespace lido::postgres {

template <class Lease, class Runner>
auto SessionStatements<Lease, Runner>::commit(std::source_location where) {
  static_cast<void>(connection());
  const Until until = limit();
  return runner_.run(until, [this, until, where] {
    connection().channel().called_from(where);
    return detail::Committing<Lease>{transaction_, until};
  });
}

template <class Lease, class Runner>
auto SessionStatements<Lease, Runner>::rollback() {
  return runner_.run(soon(), [this] { return detail::RollingBack<Lease>{transaction_}; });
}

template <class Lease, class Runner>
auto SessionStatements<Lease, Runner>::begin(const TransactionOptions& options, const std::source_location& where) {
  return runner_.run(limit(), [this, &options, where] {
    connection().channel().called_from(where);
    detail::check_time(until_);
    return detail::BeginningSession<Lease>{transaction_, options};
  });
}

template <class Lease, class Runner>
auto SessionStatements<Lease, Runner>::open_savepoint(detail::SavepointId id, const std::source_location& where) {
  return change(limit(), id, detail::open_savepoint(id), &detail::Savepoints::opened, where);
}

template <class Lease, class Runner>
auto SessionStatements<Lease, Runner>::release_savepoint(detail::SavepointId id, const std::source_location& where) {
  const Until until = limit();
  savepoints().check_innermost(id);
  return change(until, id, detail::release_savepoint(id), &detail::Savepoints::closed, where);
}

template <class Lease, class Runner>
auto SessionStatements<Lease, Runner>::undo_savepoint(detail::SavepointId id, const Until& until,
                                                      const std::source_location& where) {
  return change(until, id, detail::undo_savepoint(id), &detail::Savepoints::closed, where);
}

template <class Lease, class Runner>
template <class Change>
auto SessionStatements<Lease, Runner>::change(const Until& until, detail::SavepointId id, std::string script,
                                              Change how, const std::source_location& where) {
  static_cast<void>(connection());
  return runner_.run(until, [this, until, id, script = std::move(script), how, where]() mutable {
    detail::Channel& channel = connection().channel();
    channel.called_from(where);
    detail::check_time(until);
    return detail::ChangingSavepoint{channel, savepoints(), id, std::move(script), how};
  });
}

}  // namespace lido::postgres
