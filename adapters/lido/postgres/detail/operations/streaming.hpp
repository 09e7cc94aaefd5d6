// One statement whose rows are taken as they come.
#pragma once

#include <concepts>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <libpq-fe.h>

#include <lido/postgres/detail/operations/exchange.hpp>
#include <lido/postgres/detail/sql/lexer.hpp>
#include <lido/postgres/detail/sql/session_state.hpp>
#include <lido/postgres/detail/values/bound.hpp>
#include <lido/postgres/detail/values/parameter_count.hpp>
#include <lido/postgres/detail/wire/abandoning.hpp>
#include <lido/postgres/detail/wire/channel.hpp>
#include <lido/postgres/detail/wire/handle.hpp>
#include <lido/postgres/detail/wire/reply.hpp>
#include <lido/postgres/detail/wire/wait.hpp>

namespace lido::postgres::detail {

/// Since version 17 libpq can hand out rows by the dozen.
template <class Raw>
[[nodiscard]] int take_rows_as_they_come(Raw* raw) noexcept {
  if constexpr (requires { PQsetChunkedRowsMode(raw, 64); }) {
    return PQsetChunkedRowsMode(raw, 64);
  } else {
    return PQsetSingleRowMode(raw);
  }
}

/// A step ends with a few rows, or with null for the end. `sql` has to outlive it.
class Streaming : public Leavable {
 public:
  /// Whether rows with such columns are to come in the binary format.
  using Suits = bool (*)(const PGresult* described);

  /// Throws `QueryError` or `ConnectionLost`.
  Streaming(Channel& channel, std::string_view sql, const Bound& bound, Suits suits = nullptr)
      : Leavable{channel, sql}, suits_{suits} {
    StatementCache::check_text(sql);
    if (const std::string why = wrong_count(bound, sql); !why.empty()) throw channel.failed(sql, why);
    channel.runs(sql, bound);
    const std::string text{sql};
    if (suits != nullptr && can_ask(channel, sql)) {
      ask_first(text, bound);
    } else {
      reply().send_at_once([&](PGconn* raw) { return send_params(raw, text.c_str(), bound); },
                           [](PGconn* raw) { return take_rows_as_they_come(raw); });
    }
  }

  /// Throws `QueryError` or `ConnectionLost`.
  [[nodiscard]] Need step() {
    if (auto& leaving = abandoning()) return leaving->step();
    for (;;) {
      if (const Need need = reply().step(); need != Need::nothing) return need;
      if (complete()) return reply().check(), Need::nothing;
      rows_ = reply().result();
      if (asking_) {
        if (reply().statement() == 1) binary_ = suits_(rows_.get());
        continue;
      }
      if (is_copy(rows_)) refuse_copy(reply());
      reply().returned(rows_.get());
      if (PQntuples(rows_.get()) > 0) return Need::nothing;
      rows_.reset();  // behind the last row comes an empty result
    }
  }

  /// The next steps cancel the rest. What has not been run is not run any more.
  void abandon() noexcept {
    if (!asking_) return Leavable::abandon();
    left_ = true;
  }
  void abandon_at_once() noexcept {
    left_ = asking_;
    Leavable::abandon_at_once();
  }

  /// What the last step found; null at the end.
  [[nodiscard]] ResultHandle rows() noexcept { return std::move(rows_); }

 private:
  // A COPY has no columns, and in a pipeline another error. A sandbox may have something else sent. What is read needs
  // the times that every server has had for long.
  [[nodiscard]] static bool can_ask(const Channel& channel, std::string_view sql) {
    const char* const times = PQparameterStatus(channel.raw(), "integer_datetimes");
    return channel.transaction() != PQTRANS_INERROR && !channel.settings().enclosure && !is(first_word(sql), "copy") &&
           times != nullptr && std::string_view{times} == "on";
  }

  // The statement is parsed, and says which columns it has; then it is run. That is one transaction, from whose begin
  // on nobody can change the columns. It costs a round trip, and so has to pay.
  void ask_first(const std::string& text, const Bound& bound) {
    asking_ = true;
    parameters_ = StoredParameters{bound};
    reply().begin_pipeline(1);
    reply().send([&](PGconn* raw) {
      return PQsendPrepare(raw, "", text.c_str(), bound.count, bound.types) != 0 && PQsendDescribePrepared(raw, "") != 0
                 ? PQsendFlushRequest(raw)
                 : 0;
    });
    reply().follow(2, [this](PGconn* raw) { return run(raw); });
  }
  [[nodiscard]] int run(PGconn* raw) {
    asking_ = false;
    if (reply().error() || left_) return PQpipelineSync(raw);
    const Bound bound = parameters_.bound();
    const int sent = PQsendQueryPrepared(raw, "", bound.count, bound.values, bound.lengths, bound.formats, binary_);
    return sent != 0 && PQpipelineSync(raw) != 0 ? take_rows_as_they_come(raw) : 0;
  }

  Suits suits_;
  StoredParameters parameters_;
  bool asking_ = false;  // which columns there are
  bool binary_ = false;
  bool left_ = false;
  ResultHandle rows_;
};

}  // namespace lido::postgres::detail
