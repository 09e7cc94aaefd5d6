// What the calls of a connection do.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <libpq-fe.h>

#include <lido/facts.hpp>
#include <lido/postgres/bulk/pipeline.hpp>
#include <lido/postgres/connection_settings.hpp>
#include <lido/postgres/detail/compiled/calls.hpp>
#include <lido/postgres/detail/connect/asking.hpp>
#include <lido/postgres/detail/connect/connecting_in_turn.hpp>
#include <lido/postgres/detail/connect/connection_string.hpp>
#include <lido/postgres/detail/connect/hosts.hpp>
#include <lido/postgres/detail/operations/call.hpp>
#include <lido/postgres/detail/operations/execution.hpp>
#include <lido/postgres/detail/operations/housekeeping.hpp>
#include <lido/postgres/detail/operations/learning.hpp>
#include <lido/postgres/detail/operations/listening.hpp>
#include <lido/postgres/detail/operations/resetting.hpp>
#include <lido/postgres/detail/operations/scripting.hpp>
#include <lido/postgres/detail/sql/session_state.hpp>
#include <lido/postgres/detail/transaction/beginning.hpp>
#include <lido/postgres/detail/transaction/replication.hpp>
#include <lido/postgres/detail/values/bound.hpp>
#include <lido/postgres/detail/wire/blocking.hpp>
#include <lido/postgres/detail/wire/channel.hpp>
#include <lido/postgres/detail/wire/failover.hpp>
#include <lido/postgres/detail/wire/wait.hpp>
#include <lido/postgres/error.hpp>
#include <lido/postgres/notification.hpp>
#include <lido/postgres/result.hpp>
#include <lido/postgres/transaction.hpp>
#include <lido/postgres/until.hpp>

namespace lido::postgres::detail {

template <class Form>
auto Calls<Form>::kept(ConnectionSettings&& how) -> Settings {
  return std::make_shared<const ConnectionSettings>(std::move(how));
}

template <class Form>
std::shared_ptr<const ConnectionString> Calls<Form>::target_of(const std::string& connection_string,
                                                               const ConnectionSettings& how) {
  return std::make_shared<const ConnectionString>(session_target(connection_string, how.application_name));
}

template <class Form>
ChannelOwner Calls<Form>::connect(const ConnectionString& target, const Until& until, const Settings& how,
                                  TimePoint& fresh) {
  const ConnectionString full = asked_for(target, *how, until);
  ConnectingInTurn connecting{one_by_one(full, how->load_balance_hosts), until.deadline, how->on_notice};
  for (;;) {
    complete(connecting, until);
    ChannelOwner channel = adopt(connecting.take(), how);
    // Within the share of its host: the next one may keep up.
    if (keeps_up(*channel, Until{connecting.due(), until.stop}, fresh)) return channel;
    const bool stopped = until.stop.stop_requested();
    const char* const why = stopped ? " was given up" : " failed: too far behind its primary";
    connecting.refuse(full.redacted(whereabouts(channel->raw())) + why, stopped);
  }
}

template <class Form>
ChannelOwner Calls<Form>::adopt(ConnectionHandle connection, Settings how) {
  return ChannelOwner{new Channel{std::move(connection), std::move(how)}};
}

template <class Form>
void Calls<Form>::end(Channel* channel) noexcept {
  delete channel;
}

template <class Form>
bool Calls<Form>::keeps_up(Channel& channel, const Until& until, TimePoint& fresh) {
  const Duration most = channel.settings().max_lag;
  const TimePoint now = Clock::now();
  if (most == Duration::max() || now <= fresh) return true;
  const std::optional<Result> measured = ask(channel, until, measure_lag);
  if (!measured) return false;
  const Duration lag = lag_of(*measured);
  if (lag > most) return false;
  fresh = saturating_add(now, most - lag);
  return true;
}

template <class Form>
Result Calls<Form>::execute(const Call& call, std::string_view sql, const Bound& bound) {
  return Blocking::run(call.until, [&] { return Learned<Execution>{call.begin(), sql, bound}; });
}

template <class Form>
Result Calls<Form>::exec_script(const Call& call, std::string_view script) {
  return Blocking::run(call.until, [&] { return Scripting{call.begin(), std::string{script}}; });
}

template <class Form>
std::vector<Result> Calls<Form>::run(const Call& call, Pipeline& pipeline) {
  return Blocking::run(call.until, [&] { return Running<Pipeline&>{call.begin(), pipeline}; });
}

template <class Form>
Result Calls<Form>::begin(const Call& call, const TransactionOptions& options) {
  return Blocking::run(call.until, [&] { return Beginning{call.begin(), options}; });
}

template <class Form>
std::optional<Result> Calls<Form>::ask(Channel& channel, const Until& until, const char* sql) {
  return Blocking::run(until, [&] { return Question{channel, until, sql}; });
}

template <class Form>
void Calls<Form>::listen(const Call& call, std::string_view verb, std::string_view name) {
  static_cast<void>(exec_script(call, std::string{verb} + ' ' + channel_name(name)));
}

template <class Form>
std::optional<Notification> Calls<Form>::wait_for_notification(Channel& channel, const Until& until) {
  return Blocking::run(until, [&] { return Listening{channel}; });
}

template <class Form>
bool Calls<Form>::is_alive(Channel& channel) {
  return channel.peek();
}

template <class Form>
bool Calls<Form>::seems_alive(Channel& channel) {
  return channel.peek(true);
}

template <class Form>
bool Calls<Form>::is_usable(const Channel& channel) noexcept {
  return channel.quiet();
}

template <class Form>
PGTransactionStatusType Calls<Form>::transaction(const Channel& channel) noexcept {
  return channel.transaction();
}

template <class Form>
int Calls<Form>::backend_pid(const Channel& channel) noexcept {
  return PQbackendPID(channel.raw());
}

template <class Form>
int Calls<Form>::server_version(const Channel& channel) noexcept {
  return PQserverVersion(channel.raw());
}

template <class Form>
const ConnectionSettings& Calls<Form>::settings(const Channel& channel) noexcept {
  return channel.settings();
}

template <class Form>
bool Calls<Form>::ping(Channel& channel, const Until& until) {
  return Blocking::run(until, [&] { return pinging(channel, until); });
}

template <class Form>
bool Calls<Form>::reset(Channel& channel, const Until& until) {
  return Blocking::run(until, [&] { return resetting(channel); });
}

template <class Form>
bool Calls<Form>::reset_may_block(Channel& channel) noexcept {
  return Resetting{channel}.asks_server();
}

template <class Form>
bool Calls<Form>::roll_back(Channel& channel, const Until& until) {
  if (!channel.quiet()) return false;
  const PGTransactionStatusType status = channel.transaction();
  if (status != PQTRANS_INTRANS && status != PQTRANS_INERROR) return true;
  return ask(channel, until, "ROLLBACK").has_value() && channel.transaction() == PQTRANS_IDLE;
}

template <class Form>
bool Calls<Form>::has_lost_server(Channel& channel, TimePoint deadline) {
  if (!channel.server().lost() && channel.server().take_write_refused() && is_meant_to_write(channel.raw()) &&
      roll_back(channel, deadline)) {
    const std::optional<Result> read_only = ask(channel, deadline, is_server_read_only);
    if (read_only && read_only->one<bool>()) return true;
  }
  return channel.server().lost();
}

template <class Form>
bool Calls<Form>::has_lost_server_may_block(Channel& channel) noexcept {
  return !channel.server().lost() && channel.server().write_refused();
}

template <class Form>
PGconn* Calls<Form>::native(Channel& channel, const Until& until) {
  if (channel.discard().outstanding()) static_cast<void>(ask(channel, until, ""));
  channel.leaves(Leaves::statements);
  channel.names().runs(Renames::session);
  channel.statements().distrust();
  return channel.hand_out();
}

}  // namespace lido::postgres::detail
