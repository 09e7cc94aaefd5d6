// What the server answers, one result at a time. All operations on statements read their answers with it.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <optional>
#include <source_location>
#include <string>
#include <string_view>
#include <utility>

#include <lido/facts.hpp>
#include <lido/postgres/detail/sql/savepoint_script.hpp>
#include <lido/postgres/detail/values/limits.hpp>
#include <lido/postgres/detail/wire/channel.hpp>
#include <lido/postgres/detail/wire/copy_pieces.hpp>
#include <lido/postgres/detail/wire/diagnose.hpp>
#include <lido/postgres/detail/wire/echoing.hpp>
#include <lido/postgres/detail/wire/enclosure.hpp>
#include <lido/postgres/detail/wire/failed_commit.hpp>
#include <lido/postgres/detail/wire/handle.hpp>
#include <lido/postgres/detail/wire/held_transaction.hpp>
#include <lido/postgres/detail/wire/tracing.hpp>
#include <lido/postgres/detail/wire/wait.hpp>
#include <lido/postgres/error.hpp>

namespace lido::postgres::detail {

/// The answer to what was sent. Ended before it is complete, it gives the connection up: a reply on its way must not
/// reach the next statement. `sql` has to outlive it; so has the channel.
class Reply {
 public:
  Reply(Channel& channel, std::string_view sql)
      : channel_{channel},
        sql_{sql},
        where_{channel.where()},
        start_{channel.watched() ? Clock::now() : TimePoint{}},
        watched_{channel.watched()} {
    check_length(sql.size(), [] { return std::string{"the statement"}; });  // before anybody reads all of it
    channel.require_quiet(sql);
    channel.held().require(sql, channel.transaction());
    if (Enclosure* const around = channel.settings().enclosure.get()) instead_ = around->enter(channel, sql);
  }
  Reply(const Reply&) = delete;
  Reply& operator=(const Reply&) = delete;
  ~Reply() {
    if (!complete_) {
      channel_.held().note_unanswered(sql_);
      channel_.give_up();
    }
    if (watched_) report();
    if (trace_) trace_->end(complete_);
  }

  /// Sends with `send`, which calls one of `PQsend*`; outside of a pipeline perhaps not before a step, when the answer
  /// to a DISCARD ALL has come. Throws `ConnectionLost`: where libpq refuses, a part may be in its buffer, for the next
  /// statement to send. What can be refused without that is found before this is called.
  template <class Send>
  void send(Send send) {
    if (watched_ && !std::exchange(sent_, true) && channel_.tracing()) begin_trace();
    if (channel_.discard().outstanding() && syncs_ == 0) {
      complete_ = false;
      return void(later_ = std::move(send));
    }
    const bool done = instead_ ? PQsendQuery(channel_.raw(), instead_->c_str()) != 0 : send(channel_.raw()) != 0;
    if (done) return void(complete_ = false);
    channel_.held().note_unanswered(sql_);
    throw channel_.lost(sql_);
  }
  /// From here on statements are sent as a pipeline, whose answers end with that many synchronisations. Errors are
  /// nobody's concern but in the part that ends with the last of these, or so many before it.
  void begin_pipeline(std::size_t syncs, std::size_t behind = 0) {
    // libpq keeps the mode in which a stream has taken its rows for the first statement of a pipeline, which would lose
    // its own. It leaves that mode at the begin of any other query, also of one that it refuses to send, as this one.
    static_cast<void>(PQsendQueryPrepared(channel_.raw(), "", -1, nullptr, nullptr, nullptr, 0));
    if (PQenterPipelineMode(channel_.raw()) == 0) throw channel_.lost(sql_);
    syncs_ = syncs;
    part_ = behind + 1;
    statement_ = 0;
    open_ = false;
    error_.reset();
    if (trace_) trace_->again();
    complete_ = false;
  }
  /// `open`: the end of the pipeline is yet to be sent. Until then the first error, behind which libpq has no more to
  /// give, ends a step without a `result()`, for whoever sends the end. Where all that was sent is answered there is
  /// `Need::readable`: more has to be sent first.
  void keep_open(bool open) noexcept { open_ = open; }

  [[nodiscard]] Socket socket() const noexcept { return channel_.socket(); }

  /// `Need::nothing`: there is a `result()` or a `chunk()`, or the answer is complete. Throws `ConnectionLost`.
  [[nodiscard]] Need step() {
    channel_.require_ours(sql_);
    channel_.called_from(where_);  // another statement may have been refused meanwhile
    // Before the first wait nothing has come: looking would be a system call for nothing.
    if (std::exchange(waited_, false) && !channel_.consume()) ended_ = true;
    while (!complete_) {
      // The next piece of a COPY is at hand, or the server is about to send it.
      if (copy_.is_open() && !copy_.end(channel_.raw(), ended_)) {
        if (copy_.any()) return Need::nothing;
        waited_ = true;
        return PQflush(channel_.raw()) > 0 ? channel_.to_read(Need::either) : channel_.to_read();
      }
      if (!ended_) {
        if (open_ && channel_.is_answered()) return Need::readable;
        if (const Need need = channel_.pending(); need != Need::nothing) {
          waited_ = true;
          return need;
        }
      }
      ResultHandle result{PQgetResult(channel_.raw())};
      if (!result) {
        end_of_statement();
      } else if (take(std::move(result))) {
        return Need::nothing;
      }
    }
    return Need::nothing;
  }

  /// Throws `QueryTimeout` or `QueryCancelled`.
  [[noreturn]] void give_up(Wake why) { give_up(why, is_commit(sql_)); }
  /// The same of a pipeline.
  [[noreturn]] void give_up(Wake why, bool commits) {
    channel_.called_from(where_);
    if (trace_) trace_->given_up(why);
    channel_.give_up(why, sql_, commits);
  }

  /// Nothing is on its way any more.
  [[nodiscard]] bool complete() const noexcept { return complete_; }
  /// What the last step found; null when it found none.
  [[nodiscard]] ResultHandle result() noexcept { return std::move(result_); }
  /// A piece of a COPY OUT, as the last step found it. Valid until the next one.
  [[nodiscard]] std::string_view chunk() const noexcept { return copy_.piece(); }
  /// The first error of the answer, which is the cause of others.
  [[nodiscard]] std::optional<Diagnostics>& error() noexcept { return error_; }
  /// Which statement of a pipeline it was, and which function of the server's raised it.
  [[nodiscard]] std::size_t failed_statement() const noexcept { return failed_statement_; }
  [[nodiscard]] const std::string& raised_by() const noexcept { return raised_by_; }
  /// As `send`, and at once: behind a DISCARD ALL in a pipeline. `begun`, if there is one, is called when the answer
  /// begins.
  template <class Send>
  void send_at_once(Send send, std::function<int(PGconn*)> begun = {}) {
    if (!channel_.discard().outstanding())
      return this->send([&](PGconn* raw) { return send(raw) != 0 && (!begun || begun(raw) != 0) ? 1 : 0; });
    begin_pipeline(1);
    this->send([&](PGconn* raw) { return send(raw) != 0 ? PQpipelineSync(raw) : 0; });
    later_ = std::move(begun);
  }

  /// In a pipeline that is not yet synchronised: `next`, called once that many of its statements have been answered, or
  /// will not be, sends the rest. There is nothing to wait for before it has.
  void follow(std::size_t statements, std::function<int(PGconn*)> next) {
    later_ = std::move(next);
    later_behind_ = statements;
  }

  /// From within what follows, where all of it has been answered: what is sent from now on is sent outside of the
  /// pipeline, and yet in the same transaction. False: libpq does not leave it.
  [[nodiscard]] bool leave_pipeline() noexcept {
    if (PQexitPipelineMode(channel_.raw()) == 0) return false;
    syncs_ = part_ = 0;
    return true;
  }
  /// Once it is complete: what was answered does not count, and something else is sent for the same statement.
  void begin_again() noexcept {
    error_.reset();
    part_ = 0;
    if (trace_) trace_->again();
  }

  /// In a pipeline: the number of the statement whose answer is being read, counted from 0.
  [[nodiscard]] std::size_t statement() const noexcept { return statement_; }
  [[nodiscard]] bool is_pipeline() const noexcept { return part_ > 0; }
  /// In a pipeline: how many synchronisations are to come.
  [[nodiscard]] std::size_t syncs() const noexcept { return syncs_; }
  [[nodiscard]] Channel& channel() noexcept { return channel_; }
  [[nodiscard]] std::string_view sql() const noexcept { return sql_; }
  /// From now on it is about the next statement of a pipeline.
  void about(std::string_view sql) noexcept {
    report();
    sql_ = sql;
    if (trace_) begin_trace();
  }
  /// For a tracer: it is one of the results that its caller gets.
  void returned(PGresult* result) noexcept {
    if (trace_) trace_->returned(result);
  }

  /// Once it is complete: throws `QueryError` when the answer is an error.
  void check() {
    if (!error_) return;
    const std::string message = error_->message;
    throw QueryError{message, *std::move(error_)};
  }

 private:
  // True: it is for the caller.
  bool take(ResultHandle result) {
    if (channel_.discard().outstanding()) return take_discarded(result.get()), false;
    switch (PQresultStatus(result.get())) {
      case PGRES_COMMAND_OK:
        if (!note_command(PQcmdStatus(result.get()))) return false;
        break;
      case PGRES_COPY_OUT:
        copy_.begin();
        break;
      case PGRES_PIPELINE_SYNC:
        if (--syncs_ > 0) return false;
        if (PQexitPipelineMode(channel_.raw()) == 0) throw channel_.lost(sql_);
        end();
        return false;
      case PGRES_PIPELINE_ABORTED:
        return false;
      case PGRES_BAD_RESPONSE:
      case PGRES_NONFATAL_ERROR:
      case PGRES_FATAL_ERROR:
        fail(result.get());
        return open_ && error_;
      default:  // rows, an empty query, COPY IN
        break;
    }
    result_ = std::move(result);
    return true;
  }

  // What the last holder left is no business of this statement's; that it is still there is.
  void take_discarded(const PGresult* result) {
    if (!channel_.discard().take(channel_.raw(), result)) throw channel_.lost(channel_.diagnose(result, "DISCARD ALL"));
    if (channel_.discard().outstanding()) return;
    statement_ = 0;
    if (!later_ || later_behind_ > 0) return;
    const auto send = std::exchange(later_, nullptr);
    if ((syncs_ == 0 && PQexitPipelineMode(channel_.raw()) == 0) || send(channel_.raw()) == 0)
      throw channel_.lost(sql_);
  }

  void fail(const PGresult* result) {
    Diagnostics error = channel_.diagnose(result, sql_);
    const bool lost = is_fatal(error) || PQstatus(channel_.raw()) != CONNECTION_OK;
    const bool counts = !error_ && syncs_ == part_;
    if (trace_ && (lost || counts)) trace_->failed(error.sqlstate);
    if (lost) throw channel_.lost(error_ ? *std::move(error_) : std::move(error));
    if (!counts) return;
    error_ = std::move(error);
    failed_statement_ = statement_;
    raised_by_ = field(result, PG_DIAG_SOURCE_FUNCTION);
  }

  void end_of_statement() {
    if (PQstatus(channel_.raw()) != CONNECTION_OK) throw channel_.gone(sql_, one_line(PQerrorMessage(channel_.raw())));
    if (channel_.discard().outstanding()) return;
    if (++statement_ == later_behind_ && later_) {
      if (std::exchange(later_, nullptr)(channel_.raw()) == 0) throw channel_.lost(sql_);
      return;  // it may have left the pipeline
    }
    if (syncs_ == 0) end();
  }
  void end() noexcept {
    complete_ = true;
    channel_.heard();
  }

  void begin_trace() noexcept {
    if (sql_.empty()) return;
    try {
      // The one before it in a pipeline ends well: its result has come.
      if (trace_) trace_->next();
      trace_ = std::make_unique<StatementTrace>(channel_.tracing().statement(channel_.raw(), sql_, where_),
                                                trace_ ? trace_->sqlstate() : std::string{});
    } catch (...) {  // out of memory
    }
  }
  void report() const noexcept {
    const Echo& echo = channel_.settings().echo;
    if (echo && sent_ && !sql_.empty()) tell(echo, sql_, Clock::now() - start_);
  }

  // False: it is an error after all. Only the first statement meets a failed transaction: an error ends the others.
  [[nodiscard]] bool note_command(std::string_view tag) {
    channel_.held().note_command(tag);
    if (tag == "COMMIT" || tag == "ROLLBACK") channel_.names().ends(undoes_savepoint(sql_));
    const bool first = !std::exchange(answered_, true);
    if (first && tag == "ROLLBACK" && begins_with_commit(sql_)) {
      error_ = failed_commit(sql_);
      if (trace_) trace_->failed(error_->sqlstate);
      failed_statement_ = statement_;
      return false;
    }
    if (tag == "DISCARD ALL" || tag == "DEALLOCATE ALL") channel_.statements().forget();
    if (tag == "DISCARD ALL") channel_.names().reset();
    return true;
  }

  Channel& channel_;
  std::string_view sql_;
  std::source_location where_;
  std::optional<std::string> instead_;  // what is sent for it
  std::function<int(PGconn*)> later_;
  std::size_t later_behind_ = 0;  // so many statements; zero: behind a DISCARD ALL
  ResultHandle result_;
  CopyPieces copy_;
  std::optional<Diagnostics> error_;
  std::string raised_by_;
  TimePoint start_;
  std::unique_ptr<StatementTrace> trace_;  // null: nobody traces it
  std::size_t syncs_ = 0;
  std::size_t part_ = 0;  // how many of these are to come in the part whose errors count
  std::size_t statement_ = 0;
  std::size_t failed_statement_ = 0;
  bool open_ = false;  // the end of a pipeline is yet to be sent
  bool watched_;       // somebody wants to be told of it
  bool sent_ = false;
  bool answered_ = false;  // a command has been
  bool waited_ = false;    // the next step looks what has come
  bool ended_ = false;     // nothing more will come
  bool complete_ = true;
};

}  // namespace lido::postgres::detail
