// Putting a session in order for the next holder.
#pragma once

#include <cstdint>
#include <optional>

#include <lido/postgres/connection_settings.hpp>
#include <lido/postgres/detail/operations/exchange.hpp>
#include <lido/postgres/detail/sql/session_state.hpp>
#include <lido/postgres/detail/wire/channel.hpp>
#include <lido/postgres/detail/wire/handle.hpp>
#include <lido/postgres/detail/wire/wait.hpp>

namespace lido::postgres::detail {

/// Does what the `ResetLevel` of the settings says. Its steps throw what an `Exchange` throws.
class Resetting {
 public:
  explicit Resetting(Channel& channel) noexcept : channel_{channel} {
    if (!channel.quiet()) stage_ = Stage::refused;
  }

  [[nodiscard]] Socket socket() const noexcept { return channel_.socket(); }
  [[nodiscard]] Need step() {
    for (;;) {
      if (exchange_) {
        if (const Need need = exchange_->step(); need != Need::nothing) return need;
        exchange_.reset();
        drain();  // what was on its way has come in with the answer
      }
      if (!go_on()) return Need::nothing;
    }
  }
  void give_up(Wake why) {
    stage_ = Stage::refused;
    if (exchange_) exchange_->give_up(why);
  }

  /// Before the first step: whether there is something to ask the server for.
  [[nodiscard]] bool asks_server() const noexcept {
    const ResetLevel level = channel_.settings().reset;
    if (stage_ != Stage::begun || level == ResetLevel::none || closes()) return false;
    return channel_.transaction() != PQTRANS_IDLE || (discard() != nullptr && !posts());
  }

  /// Once it is done: the session may be leased again.
  [[nodiscard]] bool fit() const noexcept {
    return stage_ == Stage::done && channel_.quiet() && channel_.transaction() == PQTRANS_IDLE;
  }

 private:
  enum class Stage : std::uint8_t { begun, rolled_back, discarded, done, refused };

  // False: there is nothing left to be sent.
  bool go_on() {
    switch (stage_) {
      case Stage::begun:
        if (!channel_.restore() || closes()) {
          stage_ = Stage::refused;
          return true;
        }
        drain();
        if (channel_.transaction() == PQTRANS_IDLE) {
          stage_ = Stage::rolled_back;
        } else if (channel_.settings().reset == ResetLevel::none) {
          stage_ = Stage::refused;
        } else {
          stage_ = Stage::rolled_back;
          send("ROLLBACK");
        }
        return true;
      case Stage::rolled_back:
        stage_ = Stage::discarded;
        if (posts())
          channel_.post_discard();
        else if (const char* sql = discard())
          send(sql);
        return true;
      case Stage::discarded:
        if (discard() != nullptr) channel_.names().reset();
        channel_.clean(discard() != nullptr);
        stage_ = Stage::done;
        return false;
      case Stage::done:
      case Stage::refused:
      default:
        return false;
    }
  }

  // Whether nothing but a new session will do. A sandbox has one alone.
  [[nodiscard]] bool closes() const noexcept {
    const ConnectionSettings& how = channel_.settings();
    const std::optional<Leaves> left = channel_.left();
    if (!left || how.reset < ResetLevel::targeted) return false;
    return how.reset == ResetLevel::reopen || (*left == Leaves::session && how.enclosure == nullptr);
  }

  // Of notifications, which are the last holder's.
  void drain() noexcept {
    channel_.unheard().reset();
    while (const LibpqMemory<PGnotify> notification{PQnotifies(channel_.raw())}) {
    }
  }

  // What DISCARD ALL does but for DEALLOCATE ALL: the statement cache survives where nobody else can have prepared.
  static constexpr const char* discard_all_but_statements =
      "CLOSE ALL; SET SESSION AUTHORIZATION DEFAULT; RESET ALL; UNLISTEN *; "
      "SELECT pg_catalog.pg_advisory_unlock_all(); DISCARD TEMP; DISCARD SEQUENCES";

  [[nodiscard]] const char* discard() const noexcept {
    const std::optional<Leaves> left = channel_.left();
    if (!left || channel_.settings().reset < ResetLevel::targeted) return nullptr;
    if (channel_.settings().reset == ResetLevel::discard_all) return "DISCARD ALL";
    if (*left == Leaves::nothing) return nullptr;
    const bool keep = *left == Leaves::state && channel_.statements().holds_prepared();
    return keep ? discard_all_but_statements : "DISCARD ALL";
  }

  // Nothing is known to be left, so that nothing is let go late; what no text tells is discarded by the time of the
  // next statement, which need not wait for it.
  [[nodiscard]] bool posts() const noexcept {
    return channel_.settings().reset == ResetLevel::discard_all && channel_.left() == Leaves::nothing;
  }

  void send(const char* sql) {
    exchange_.emplace(channel_, sql, [sql](PGconn* raw) { return PQsendQuery(raw, sql); });
  }

  Channel& channel_;
  std::optional<Exchange> exchange_;
  Stage stage_ = Stage::begun;
};

}  // namespace lido::postgres::detail
