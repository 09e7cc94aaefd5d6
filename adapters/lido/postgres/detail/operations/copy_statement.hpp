// How a COPY is sent: in the binary format where that says the same.
#pragma once

#include <algorithm>
#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <libpq-fe.h>

#include <lido/postgres/detail/sql/one_statement.hpp>
#include <lido/postgres/detail/sql/plain_copy.hpp>
#include <lido/postgres/detail/values/bound.hpp>
#include <lido/postgres/detail/wire/channel.hpp>
#include <lido/postgres/detail/wire/handle.hpp>
#include <lido/postgres/detail/wire/reply.hpp>

namespace lido::postgres::detail {

/// Sends it, and takes those parts of the answer that say which columns there are.
///
/// The server takes binary values for what they are said to be. So a statement that has the same columns is parsed and
/// described first, and never run: it wants no privilege but those of the COPY. Before that the table is locked, as the
/// COPY will, and nothing ends the transaction between, so that nobody can change a column. libpq has no COPY in a
/// pipeline, which is left without a synchronisation. It costs a round trip.
class CopyStatement {
 public:
  /// Whether rows of columns of these types are to go in the binary format.
  using Suits = bool (*)(std::span<const Oid> columns);

  /// Null `suits`: it is sent as it stands. Throws `QueryError` or `ConnectionLost`. Stays where it is.
  CopyStatement(Reply& reply, Suits suits) : reply_{reply}, suits_{suits} {
    Channel& channel = reply.channel();
    StatementCache::check_text(reply.sql());
    if (suits != nullptr && can_ask(channel)) plain_ = PlainCopyReader::read(reply.sql());
    inside_ = channel.transaction() != PQTRANS_IDLE;
    channel.runs(reply.sql());
    plain_ ? ask_first() : send(std::string{reply.sql()});
  }
  CopyStatement(const CopyStatement&) = delete;
  CopyStatement& operator=(const CopyStatement&) = delete;

  /// Which columns there are is not known yet.
  [[nodiscard]] bool is_asking() const noexcept { return asking_; }
  /// What the answer has so far is only about the columns.
  void take(const ResultHandle& described) {
    if (reply_.statement() + 1 == questions()) find_columns(described.get());
  }
  /// The answer is complete. True: that was only the question's, and now it has been sent.
  [[nodiscard]] bool sent_now() {
    if (sent_ || left_) return false;
    if (std::optional<Diagnostics>& error = reply_.error()) {
      error->position = plain().place_of(error->position);
      if (inside_ || !error->sqlstate.starts_with("42")) return false;
    }
    reply_.begin_again();  // the same error is that of the COPY
    send(std::string{reply_.sql()});
    return true;
  }
  /// It is not to be sent any more unless it was.
  void leave() noexcept { left_ = true; }

  /// Where it has failed the server may answer more than once, so that the connection is of no use any more.
  [[nodiscard]] bool may_echo() const noexcept { return !simple_; }

  /// The types of its columns, where it goes in the binary format; else none.
  [[nodiscard]] const std::vector<Oid>& columns() const noexcept { return columns_; }

 private:
  // A sandbox may have something else sent. What is written and read needs the times that every server has had for
  // long.
  [[nodiscard]] static bool can_ask(const Channel& channel) {
    const char* const times = PQparameterStatus(channel.raw(), "integer_datetimes");
    return channel.transaction() != PQTRANS_INERROR && !channel.settings().enclosure && times != nullptr &&
           std::string_view{times} == "on";
  }

  // Asked for where it was read alone.
  // NOLINTNEXTLINE(bugprone-unchecked-optional-access)
  [[nodiscard]] const PlainCopy& plain() const noexcept { return *plain_; }

  void ask_first() {
    asking_ = true;
    reply_.begin_pipeline(1);
    reply_.send([lock = plain().is_in ? plain().lock() : "", text = plain().question()](PGconn* raw) {
      return (lock.empty() || PQsendPrepare(raw, "", lock.c_str(), 0, nullptr) != 0) &&
                     PQsendPrepare(raw, "", text.c_str(), 0, nullptr) != 0 && PQsendDescribePrepared(raw, "") != 0
                 ? PQsendFlushRequest(raw)
                 : 0;
    });
    reply_.follow(questions(), [this](PGconn* raw) { return go_on(raw); });
  }
  [[nodiscard]] std::size_t questions() const noexcept { return plain().is_in ? 3 : 2; }
  [[nodiscard]] int go_on(PGconn* raw) {
    asking_ = false;
    if (reply_.error() || left_ || !reply_.leave_pipeline()) return columns_.clear(), PQpipelineSync(raw);
    sent_ = true;
    const std::string text = columns_.empty() ? std::string{reply_.sql()} : plain().in_binary();
    return send_alone(raw, text);
  }
  void send(std::string text) {
    sent_ = true;
    reply_.send([this, text = std::move(text)](PGconn* raw) { return send_alone(raw, text); });
  }
  // In the simple protocol: in the other one a synchronisation follows it at once, and libpq sends another behind the
  // rows. Where the server has found an error before it looked for the first row, it answers both, and the next
  // statement would lose its answer. Of what may be several statements the server takes none in the other one.
  [[nodiscard]] int send_alone(PGconn* raw, const std::string& text) noexcept {
    simple_ = is_one_statement(text);
    return simple_ ? PQsendQuery(raw, text.c_str()) : send_params(raw, text.c_str(), {});
  }

  // A column that is not found is an error of the COPY.
  void find_columns(const PGresult* described) {
    const int count = PQnfields(described);
    for (int i = 0; plain().columns.empty() && i < count; ++i) columns_.push_back(PQftype(described, i));
    for (const std::string& name : plain().columns) {
      int at = 0;
      while (at < count && name != PQfname(described, at)) ++at;
      if (at == count) return columns_.clear();
      columns_.push_back(PQftype(described, at));
    }
    if (!suits_(columns_)) columns_.clear();
  }

  Reply& reply_;
  Suits suits_;
  std::optional<PlainCopy> plain_;
  std::vector<Oid> columns_;
  bool inside_ = false;  // a transaction that was there before
  bool asking_ = false;
  bool sent_ = false;
  bool left_ = false;
  bool simple_ = false;  // the protocol
};

}  // namespace lido::postgres::detail
