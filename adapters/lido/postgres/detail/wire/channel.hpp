// One libpq connection, which knows whether it can be used again. What is done with it is written as operations, for
// instance `Exchange`.
#pragma once

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <source_location>
#include <string>
#include <string_view>
#include <utility>

#include <lido/detail/platform.hpp>
#include <lido/facts.hpp>
#include <lido/postgres/connection_settings.hpp>
#include <lido/postgres/detail/sql/session_state.hpp>
#include <lido/postgres/detail/values/array_types.hpp>
#include <lido/postgres/detail/wire/cancelling.hpp>
#include <lido/postgres/detail/wire/diagnose.hpp>
#include <lido/postgres/detail/wire/echoing.hpp>
#include <lido/postgres/detail/wire/enclosure.hpp>
#include <lido/postgres/detail/wire/failed_commit.hpp>
#include <lido/postgres/detail/wire/failover.hpp>
#include <lido/postgres/detail/wire/guests.hpp>
#include <lido/postgres/detail/wire/handle.hpp>
#include <lido/postgres/detail/wire/handle_settings.hpp>
#include <lido/postgres/detail/wire/held_back.hpp>
#include <lido/postgres/detail/wire/held_transaction.hpp>
#include <lido/postgres/detail/wire/name_scope.hpp>
#include <lido/postgres/detail/wire/noticing.hpp>
#include <lido/postgres/detail/wire/parting.hpp>
#include <lido/postgres/detail/wire/posted_discard.hpp>
#include <lido/postgres/detail/wire/statement_cache.hpp>
#include <lido/postgres/detail/wire/tracing.hpp>
#include <lido/postgres/detail/wire/wait.hpp>
#include <lido/postgres/error.hpp>
#include <lido/postgres/notification.hpp>

namespace lido::postgres::detail {

/// Stays where it is, as libpq keeps a pointer to it.
class Channel {
 public:
  Channel(ConnectionHandle connection, std::shared_ptr<const ConnectionSettings> settings)
      : connection_{std::move(connection)},
        settings_{std::move(settings)},
        statements_{settings_->statement_cache},
        handle_settings_{raw(), &Channel::take_notice, this},
        owner_{::getpid()} {
    if (!handle_settings_.put(raw())) throw ConnectError{one_line(PQerrorMessage(raw()))};
    if (settings_->enclosure) settings_->enclosure->opened();
  }
  Channel(const Channel&) = delete;
  Channel& operator=(const Channel&) = delete;

  ~Channel() {
    guests_.dismiss();
    if (PQsocket(raw()) < 0) return;
    if (owner_ != ::getpid())
      part_in_child(connection_);
    else if (!usable())
      part_at_once(raw(), cancelling_);
  }

  [[nodiscard]] PGconn* raw() const noexcept { return connection_.get(); }
  [[nodiscard]] bool usable() const noexcept { return !broken_ && is_ours() && PQstatus(raw()) == CONNECTION_OK; }
  /// False in the child of a fork: a byte sent there would be the parent's.
  [[nodiscard]] bool is_ours() const noexcept { return mark_.is_ours(); }
  [[nodiscard]] PGTransactionStatusType transaction() const noexcept {
    if (discard_.outstanding()) return PQTRANS_IDLE;
    const PGTransactionStatusType status = PQtransactionStatus(raw());
    return settings_->enclosure ? settings_->enclosure->transaction(status) : status;
  }
  /// No statement under way, no pipeline: the next one may be sent.
  [[nodiscard]] bool quiet() const noexcept {
    const PGTransactionStatusType status = transaction();
    const bool alone = PQpipelineStatus(raw()) == PQ_PIPELINE_OFF || discard_.outstanding();
    return !telling_ && usable() && alone && status != PQTRANS_ACTIVE && status != PQTRANS_UNKNOWN;
  }
  /// The first statement of `script` ends a transaction that has failed: as after any error, the rest must not run.
  [[nodiscard]] bool ends_failed(std::string_view script) const noexcept {
    return transaction() == PQTRANS_INERROR && begins_with_commit(script);
  }
  /// Throws unless a statement may be sent now: `QueryError` or `ConnectionLost`.
  void require_quiet(std::string_view sql) {
    if (quiet()) return;
    if (telling_) throw failed(sql, "a listener of notices can run nothing on the connection that it is told by");
    require_ours(sql);
    if (!usable()) throw gone(sql, "the connection is not usable any more");
    throw failed(sql, "another statement is under way on this connection");
  }
  /// In the child of a fork it throws `ConnectionLost`: what has come, and what the server is at, is the parent's.
  void require_ours(std::string_view sql) {
    if (!is_ours()) throw lost(sql, "the connection belongs to the parent process");
  }
  void give_up() noexcept { broken_ = true; }

  [[nodiscard]] const ConnectionSettings& settings() const noexcept { return *settings_; }
  [[nodiscard]] StatementCache& statements() noexcept { return statements_; }
  [[nodiscard]] HeldTransaction& held() noexcept { return held_; }
  [[nodiscard]] Guests& guests() noexcept { return guests_; }
  /// A notification that was taken from libpq, and then given to nobody.
  [[nodiscard]] std::optional<Notification>& unheard() noexcept { return unheard_; }
  [[nodiscard]] ConnectionTracing& tracing() noexcept { return tracing_; }
  /// Somebody wants to be told of statements.
  [[nodiscard]] bool watched() const noexcept { return watched_; }
  void trace(const std::shared_ptr<SessionTracer>& tracer, std::uint64_t connection) noexcept {
    tracing_.trace(tracer, connection);
    watched_ = true;
  }
  /// What is known of arrays that are not the server's own; null: nothing.
  [[nodiscard]] const std::shared_ptr<const ArrayTypes>& array_types() const noexcept { return array_types_; }
  void array_types(std::shared_ptr<const ArrayTypes> types) noexcept { array_types_ = std::move(types); }
  /// What the statements since the last `clean()` may have left behind; nothing at all where none was sent.
  [[nodiscard]] std::optional<Leaves> left() const noexcept { return left_; }
  void leaves(Leaves left) noexcept { left_ = std::max(left_.value_or(left), left); }
  [[nodiscard]] NameScope& names() noexcept { return names_; }
  /// This is about to be run.
  void runs(std::string_view sql, const Bound& bound = {}) {
    const Classified what = classify(sql);
    runs(what, binds_untold(what.renames, bound));
  }
  [[gnu::noinline]] void runs(const Classified& what, bool untold = false) {
    leaves(what.leaves);
    names_.look(transaction());
    names_.runs(untold ? Renames::untold : what.renames);
  }
  /// Its holder has given it back. Where nothing was `discarded`, what was prepared may still be gone.
  void clean(bool discarded) noexcept {
    if (discarded || left_ != Leaves::statements) left_.reset();
    where_ = {};
  }

  /// Has the server discard the whole session, and does not wait for the answer, which comes before that to the next
  /// statement.
  void post_discard() noexcept {
    broken_ = !discard_.post(raw()) || broken_;
    statements_.forget();
    if (settings_->echo) tell(settings_->echo, "DISCARD ALL", Duration::zero());  // nobody waits for it
  }
  [[nodiscard]] PostedDiscard& discard() noexcept { return discard_; }

  /// The handle, for a holder.
  [[nodiscard]] PGconn* hand_out() noexcept {
    handle_settings_.hand_out();
    return raw();
  }
  /// See `HandleSettings`.
  [[nodiscard]] bool restore() noexcept { return handle_settings_.restore(raw()); }

  /// An answer is complete.
  void heard() noexcept { heard_ = Clock::now(); }
  /// The server has answered so lately that nobody can know of an end which a look at the socket would show now.
  [[nodiscard]] bool was_heard(TimePoint now) const noexcept {
    return heard_ <= now && heard_ > now - std::chrono::microseconds{50};
  }
  /// Whether the session still lives as far as can be told without asking the server. `heard`: what it answered just
  /// now tells, too, which saves a system call.
  [[nodiscard]] bool peek(bool heard = false) {
    if (telling_) return usable();  // libpq is at it
    hear_what_is_held_back();
    if (!usable()) return false;
    if (heard && was_heard(Clock::now())) return true;
    const Look look = look_at(PQsocket(raw()));
    if (look == Look::nothing) return true;
    // A notice, a notification, or the server's farewell and then the end: libpq tells them apart, the second time
    // also seeing the end behind the farewell.
    for (int i = 0; look == Look::something && i < 2 && usable(); ++i) {
      if (PQconsumeInput(raw()) == 0) break;
      static_cast<void>(PQisBusy(raw()));  // parses
      if (!discard_.collect(raw())) break;
      if (i == 1 && usable()) return true;
    }
    broken_ = true;
    if (!farewell_) server_.ended("");  // no word at all
    return false;
  }

  /// Where what is sent and received goes through; -1 once it is closed.
  [[nodiscard]] Socket socket() noexcept { return {PQsocket(raw()), &registration_}; }
  /// Sends what is left to be sent, without blocking. `Need::nothing`: it is sent, and libpq has a result at hand.
  [[nodiscard]] Need pending() noexcept {
    // The server may be unable to read on before it is rid of what it has to say.
    if (PQflush(raw()) > 0) return to_read(Need::either);
    return PQisBusy(raw()) == 0 ? Need::nothing : to_read();
  }
  /// `need`, but `Need::at_once` where something has come of which the socket does not tell. To be asked before every
  /// wait: whoever waits for the socket alone may wait for ever.
  [[nodiscard]] Need to_read(Need need = Need::readable) noexcept {
    return held_back_.by(raw()) ? Need::at_once : need;
  }
  /// The server has nothing more to say to what libpq has been given to send.
  [[nodiscard]] bool is_answered() noexcept {
    return PQstatus(raw()) == CONNECTION_OK && PQtransactionStatus(raw()) != PQTRANS_ACTIVE;
  }
  /// Takes in what has come. False at the connection's end; then PQgetResult has the reason and does not block.
  [[nodiscard]] bool consume() noexcept { return PQconsumeInput(raw()) != 0; }

  /// Where the statements come from that are run from now on.
  void called_from(std::source_location where) noexcept { where_ = where; }
  [[nodiscard]] const std::source_location& where() const noexcept { return where_; }

  [[nodiscard]] QueryError failed(std::string_view sql, const std::string& message) const {
    return {message, plain(sql, message)};
  }
  [[nodiscard]] ConnectionLost lost(std::string_view sql, const std::string& message) {
    return lost(plain(sql, message));
  }
  /// With the reason that the server gave before it ended the session, if it did.
  [[nodiscard]] ConnectionLost gone(std::string_view sql, const std::string& message) {
    if (!farewell_) return lost(sql, message);
    Diagnostics diagnostics = *farewell_;
    diagnostics.statement = without_passwords(sql);
    diagnostics.where = where_;
    return lost(std::move(diagnostics));
  }
  /// Because libpq refused something, and says why.
  [[nodiscard]] ConnectionLost lost(std::string_view sql) { return lost(sql, one_line(PQerrorMessage(raw()))); }
  [[nodiscard]] ConnectionLost lost(Diagnostics diagnostics) {
    broken_ = true;
    // Not where nothing was heard and it was this side that gave the connection up.
    if (!diagnostics.sqlstate.empty() || PQstatus(raw()) != CONNECTION_OK) server_.ended(diagnostics.sqlstate);
    const std::string message = "connection lost: " + diagnostics.message;
    return {message, std::move(diagnostics)};
  }
  /// What the server says in an error, which may concern more than this session.
  [[nodiscard]] Diagnostics diagnose(const PGresult* error, std::string_view sql) {
    Diagnostics diagnostics = diagnostics_of(error, sql);
    diagnostics.where = where_;
    server_.met(diagnostics);
    return diagnostics;
  }
  [[nodiscard]] ServerSigns& server() noexcept { return server_; }

  /// Has the server asked to cancel what it is at, gives the connection up, and throws. Not asked where it `commits`: a
  /// server that waits for its standby would end the wait, and show to all what is lost if that is promoted.
  [[noreturn]] void give_up(Wake why, std::string_view sql, bool commits) {
    broken_ = true;
    require_ours(sql);
    if (!commits) cancelling_.emplace(raw());  // closed whatever comes of it
    if (why == Wake::stopped) {
      const std::string message = commits ? "a stop was requested; the server was not asked to cancel COMMIT"
                                          : "a stop was requested; the statement has been cancelled";
      throw QueryCancelled{message, plain(sql, message)};
    }
    const std::string message = commits ? "no answer before the deadline; the server was not asked to cancel COMMIT"
                                        : "no answer before the deadline; the statement has been cancelled";
    throw QueryTimeout{message, plain(sql, message)};
  }

 private:
  [[nodiscard, gnu::noinline]] Diagnostics plain(std::string_view sql, const std::string& message) const {
    return {.message = without_passwords(message), .statement = without_passwords(sql), .where = where_};
  }

  // What has come in the same record as an answer, or in the same packet, the farewell among it.
  void hear_what_is_held_back() noexcept {
    constexpr int enough = 64;           // else a peer that never stops would hold this up
    static_cast<void>(PQisBusy(raw()));  // parses
    for (int i = 0; i < enough && usable() && held_back_.by(raw()) && consume(); ++i)
      static_cast<void>(PQisBusy(raw()));
  }

  // Keeps notices off stderr, tells of them, and hears the farewell of a session that ended while it was idle.
  static void take_notice(void* self, const PGresult* notice) noexcept {
    const std::string_view level = severity_of(notice);
    auto& channel = *static_cast<Channel*>(self);
    if (level != "FATAL" && level != "PANIC") {
      channel.telling_ = true;
      tell(channel.settings_->on_notice, notice, channel.where_, PQbackendPID(channel.raw()));
      channel.telling_ = false;
      return;
    }
    channel.broken_ = true;
    const char* const sqlstate = PQresultErrorField(notice, PG_DIAG_SQLSTATE);
    channel.server_.ended(sqlstate == nullptr ? "" : sqlstate);
    try {
      channel.farewell_ = diagnostics_of(notice, {});
    } catch (const std::exception&) {  // out of memory: the session is gone all the same
    }
  }

  ConnectionHandle connection_;
  std::shared_ptr<Registration> registration_;  // of its socket, so that it has to go first
  std::shared_ptr<const ConnectionSettings> settings_;
  StatementCache statements_;
  std::shared_ptr<const ArrayTypes> array_types_;
  std::source_location where_{};
  HeldTransaction held_;
  Guests guests_;
  std::optional<Notification> unheard_;
  ConnectionTracing tracing_;
  NameScope names_;
  HeldBack held_back_;
  PostedDiscard discard_;
  std::optional<Leaves> left_;
  std::optional<Diagnostics> farewell_;
  ServerSigns server_;
  lido::detail::ProcessMark mark_;
  HandleSettings handle_settings_;
  pid_t owner_;
  std::optional<Cancelling> cancelling_;
  TimePoint heard_ = TimePoint::min();
  bool telling_ = false;  // of a notice: libpq is in the middle of something
  bool broken_ = false;
  bool watched_ = static_cast<bool>(settings_->echo);
};

}  // namespace lido::postgres::detail
