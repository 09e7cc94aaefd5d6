// COPY in both directions.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <libpq-fe.h>

#include <lido/postgres/detail/operations/copy_statement.hpp>
#include <lido/postgres/detail/operations/exchange.hpp>
#include <lido/postgres/detail/sql/copy_format.hpp>
#include <lido/postgres/detail/values/copy_frame.hpp>
#include <lido/postgres/detail/wire/abandoning.hpp>
#include <lido/postgres/detail/wire/channel.hpp>
#include <lido/postgres/detail/wire/handle.hpp>
#include <lido/postgres/detail/wire/reply.hpp>
#include <lido/postgres/detail/wire/wait.hpp>

namespace lido::postgres::detail {

/// Throws `QueryError` unless rows of values can be copied by `sql`. Asks nobody.
inline void require_text_format(Channel& channel, std::string_view sql) {
  const char* const conforms = PQparameterStatus(channel.raw(), "standard_conforming_strings");
  const bool escapes = conforms != nullptr && std::string_view{conforms} == "off";
  if (const std::string_view option = CopyFormat::other_than_text(sql, escapes); !option.empty())
    throw QueryError{why_not_text(option),
                     {.message = why_not_text(option), .statement = without_passwords(sql), .where = channel.where()}};
}

/// COPY ... FROM STDIN. Complete it once, then again after each `put`, and after `end` or `fail`. Ended before that, it
/// gives the connection up, and nothing is stored. `sql` has to outlive it.
class CopyingIn {
 public:
  /// Throws `QueryError` or `ConnectionLost`.
  CopyingIn(Channel& channel, std::string_view sql, CopyStatement::Suits suits = nullptr)
      : reply_{channel, sql}, statement_{reply_, suits} {}

  [[nodiscard]] Socket socket() const noexcept { return reply_.socket(); }
  /// Throws `QueryError` or `ConnectionLost`.
  [[nodiscard]] Need step() { return open_ ? flush() : answer(); }
  /// Throws `QueryTimeout` or `QueryCancelled`.
  [[noreturn]] void give_up(Wake why) { reply_.give_up(why); }

  /// The types of the columns where rows are taken in the binary format; none: as text. Known once it is open.
  [[nodiscard]] const std::vector<Oid>& columns() const noexcept { return statement_.columns(); }
  /// Takes the next piece of what is copied; pieces may end anywhere.
  void put(std::string_view data) {
    constexpr std::size_t most = 1U << 20;  // a message each, which may not be as long as `data` may be
    while (!data.empty()) {
      const std::string_view piece = data.substr(0, most);
      if (PQputCopyData(raw(), piece.data(), static_cast<int>(piece.size())) != 1) throw lost();
      data.remove_prefix(piece.size());
    }
  }
  /// What is waited for before more is made, where nothing has to be.
  [[nodiscard]] Need rest() noexcept {
    waited_ = true;
    return reply_.channel().to_read(Need::either);  // as in `flush`
  }
  /// That was all.
  void end() { finish(nullptr); }
  /// Nothing of it is to be stored; the answer will be an error that quotes `why`.
  void fail(const char* why) { finish(why); }
  /// Nothing is on its way any more.
  [[nodiscard]] bool complete() const noexcept { return reply_.complete(); }
  /// Between the first and the last answer: `put` may be called.
  [[nodiscard]] bool is_open() const noexcept { return open_; }
  /// The result, once it has ended.
  [[nodiscard]] ResultHandle result() noexcept { return std::move(last_); }

 private:
  [[nodiscard]] PGconn* raw() noexcept { return reply_.channel().raw(); }
  // What the server said last lies with libpq, which reads no answer before it has been told that the rows are over.
  // With the socket gone, nothing is sent by that.
  [[nodiscard]] ConnectionLost lost() {
    const std::string message = one_line(PQerrorMessage(raw()));
    if (PQsocket(raw()) < 0) {
      static_cast<void>(PQputCopyEnd(raw(), nullptr));
      static_cast<void>(reply_.step());  // throws if there is an answer
    }
    return reply_.channel().gone(reply_.sql(), message);
  }

  void finish(const char* error) {
    if (PQputCopyEnd(raw(), error) != 1) throw lost();
    open_ = false;
    ending_ = true;
  }
  [[nodiscard]] Need flush() {
    if (std::exchange(waited_, false) && !reply_.channel().consume()) throw lost();
    const int left = PQflush(raw());
    if (left < 0) throw lost();
    waited_ = left > 0;
    // The server may be unable to read on before it is rid of what it has to say.
    return left > 0 ? reply_.channel().to_read(Need::either) : Need::nothing;
  }
  [[nodiscard]] Need answer() {
    for (;;) {
      if (const Need need = reply_.step(); need != Need::nothing) return need;
      if (reply_.complete()) {
        if (statement_.sent_now()) continue;
        if (ending_ && reply_.error() && statement_.may_echo()) reply_.channel().give_up();
        reply_.check();
        if (!ending_) throw reply_.channel().failed(reply_.sql(), "the statement is no COPY ... FROM STDIN");
        return Need::nothing;
      }
      last_ = reply_.result();
      if (statement_.is_asking()) {
        statement_.take(last_);
        continue;
      }
      reply_.returned(last_.get());
      if (!is_copy(last_)) continue;
      if (ending_ || PQresultStatus(last_.get()) != PGRES_COPY_IN) refuse_copy(reply_);
      open_ = true;
      return Need::nothing;
    }
  }

  Reply reply_;
  CopyStatement statement_;
  ResultHandle last_;
  bool open_ = false;
  bool ending_ = false;
  bool waited_ = false;
};

/// COPY ... TO STDOUT. A step ends with a `chunk()`, which is one row, or with an empty one for the end. `sql` has to
/// outlive it.
class CopyingOut : public Leavable {
 public:
  /// Throws `QueryError` or `ConnectionLost`.
  CopyingOut(Channel& channel, std::string_view sql, CopyStatement::Suits suits = nullptr)
      : Leavable{channel, sql}, statement_{reply(), suits} {}

  /// Throws `QueryError` or `ConnectionLost`.
  [[nodiscard]] Need step() {
    clear();
    if (auto& leaving = abandoning()) return leaving->step();
    for (;;) {
      if (const Need need = reply().step(); need != Need::nothing) return need;
      if (complete()) {
        if (statement_.sent_now()) continue;
        reply().check();
        if (left_) return Need::nothing;
        if (!copied_) throw reply().channel().failed(sql(), "the statement is no COPY ... TO STDOUT");
        return Need::nothing;
      }
      if (const ResultHandle result = reply().result()) {
        if (statement_.is_asking()) {
          statement_.take(result);
          continue;
        }
        reply().returned(result.get());
        if (!is_copy(result)) continue;
        if (PQresultStatus(result.get()) != PGRES_COPY_OUT) refuse_copy(reply());
        copied_ = true;
        binary_ = PQbinaryTuples(result.get()) != 0;
      } else if (take_chunk()) {
        return Need::nothing;
      }
    }
  }

  /// Valid until the next step.
  [[nodiscard]] std::string_view chunk() const noexcept { return chunk_; }
  /// No chunk any more: the next step frees it, also where that throws.
  void clear() noexcept { chunk_ = {}; }
  [[nodiscard]] bool is_binary() const noexcept { return binary_; }
  /// The types of the columns where they come in the binary format unasked for by the user; else none.
  [[nodiscard]] const std::vector<Oid>& columns() const noexcept { return statement_.columns(); }

  /// The next steps cancel the rest. What has not been run is not run any more.
  void abandon() noexcept {
    if (!leaves_question()) Leavable::abandon();
  }
  void abandon_at_once() noexcept {
    static_cast<void>(leaves_question());
    Leavable::abandon_at_once();
  }

 private:
  // False: it is no row.
  [[nodiscard]] bool take_chunk() noexcept {
    std::string_view chunk = reply().chunk();
    if (!columns().empty() && !chunk.empty()) {
      if (!std::exchange(begun_, true)) chunk = behind_header(chunk);
      if (chunk == copy_trailer) return false;
    }
    chunk_ = chunk;
    return !chunk_.empty();
  }
  [[nodiscard]] bool leaves_question() noexcept {
    left_ = statement_.is_asking();
    if (left_) statement_.leave();
    return left_;
  }

  CopyStatement statement_;
  std::string_view chunk_;
  bool begun_ = false;  // behind the header
  bool copied_ = false;
  bool binary_ = false;
  bool left_ = false;
};

}  // namespace lido::postgres::detail
