// What a connection asks of the server, each as one call that waits for the answer.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <libpq-fe.h>

#include <lido/facts.hpp>
#include <lido/postgres/bulk/forward.hpp>
#include <lido/postgres/connection_settings.hpp>
#include <lido/postgres/detail/operations/call.hpp>
#include <lido/postgres/detail/values/bound.hpp>
#include <lido/postgres/detail/wire/handle.hpp>
#include <lido/postgres/notification.hpp>
#include <lido/postgres/result.hpp>
#include <lido/postgres/transaction.hpp>
#include <lido/postgres/until.hpp>

namespace lido::postgres::detail {

class Channel;
class ConnectionString;

/// Of a class that a unit need not know.
struct EndChannel {
  void operator()(Channel* channel) const noexcept;
};
using ChannelOwner = std::unique_ptr<Channel, EndChannel>;

/// The narrow place between the connection that a program sees and the operations behind it: one compiler's work for
/// all programs. What is defined in calls_bodies.hpp is compiled in each unit that uses it, or once, in postgres.cpp,
/// which is why these are members of a template, and not inline.
template <class Form = void>
struct Calls {
  using Settings = std::shared_ptr<const ConnectionSettings>;

  [[nodiscard]] static Settings kept(ConnectionSettings&& how);
  [[nodiscard]] static std::shared_ptr<const ConnectionString> target_of(const std::string& connection_string,
                                                                         const ConnectionSettings& how);
  [[nodiscard]] static ChannelOwner adopt(ConnectionHandle connection, Settings how);
  static void end(Channel* channel) noexcept;
  // `fresh`: until when it keeps up by what was measured.
  [[nodiscard]] static ChannelOwner connect(const ConnectionString& target, const Until& until, const Settings& how,
                                            TimePoint& fresh);
  [[nodiscard]] static bool keeps_up(Channel& channel, const Until& until, TimePoint& fresh);

  [[nodiscard]] static Result execute(const Call& call, std::string_view sql, const Bound& bound);
  [[nodiscard]] static Result exec_script(const Call& call, std::string_view script);
  [[nodiscard]] static std::vector<Result> run(const Call& call, Pipeline& pipeline);
  [[nodiscard]] static Result begin(const Call& call, const TransactionOptions& options);
  // Nothing where it would throw.
  [[nodiscard]] static std::optional<Result> ask(Channel& channel, const Until& until, const char* sql);

  static void listen(const Call& call, std::string_view verb, std::string_view name);
  [[nodiscard]] static std::optional<Notification> wait_for_notification(Channel& channel, const Until& until);

  [[nodiscard]] static bool is_alive(Channel& channel);
  [[nodiscard]] static bool seems_alive(Channel& channel);
  [[nodiscard]] static bool is_usable(const Channel& channel) noexcept;
  [[nodiscard]] static PGTransactionStatusType transaction(const Channel& channel) noexcept;
  [[nodiscard]] static int backend_pid(const Channel& channel) noexcept;
  [[nodiscard]] static int server_version(const Channel& channel) noexcept;
  [[nodiscard]] static const ConnectionSettings& settings(const Channel& channel) noexcept;
  [[nodiscard]] static bool ping(Channel& channel, const Until& until);
  [[nodiscard]] static bool reset(Channel& channel, const Until& until);
  [[nodiscard]] static bool reset_may_block(Channel& channel) noexcept;
  [[nodiscard]] static bool roll_back(Channel& channel, const Until& until);
  [[nodiscard]] static bool has_lost_server(Channel& channel, TimePoint deadline);
  [[nodiscard]] static bool has_lost_server_may_block(Channel& channel) noexcept;
  [[nodiscard]] static PGconn* native(Channel& channel, const Until& until);
};

inline void EndChannel::operator()(Channel* channel) const noexcept { Calls<>::end(channel); }

}  // namespace lido::postgres::detail
