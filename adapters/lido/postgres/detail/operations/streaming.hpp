// One statement whose rows are taken as they come.
#pragma once

#include <concepts>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <lido/postgres/detail/operations/exchange.hpp>
#include <lido/postgres/detail/values/bound.hpp>
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

/// A step ends with a few rows, or with null for the end. Ended before, it gives the connection up, unless `abandon()`
/// was called and completed. `sql` has to outlive it.
class Streaming {
 public:
  /// Throws `QueryError` or `ConnectionLost`.
  Streaming(Channel& channel, std::string_view sql, const Bound& bound) : reply_{channel, sql} {
    StatementCache::check_text(sql);
    channel.runs(sql);
    const std::string text{sql};
    reply_.send_at_once([&](PGconn* raw) { return send_params(raw, text.c_str(), bound); },
                        [](PGconn* raw) { return take_rows_as_they_come(raw); });
  }

  [[nodiscard]] Socket socket() const noexcept { return abandoning_ ? abandoning_->socket() : reply_.socket(); }
  /// Throws `QueryError` or `ConnectionLost`.
  [[nodiscard]] Need step() {
    if (abandoning_) return abandoning_->step();
    for (;;) {
      if (const Need need = reply_.step(); need != Need::nothing) return need;
      if (reply_.complete()) {
        reply_.check();
        return Need::nothing;
      }
      rows_ = reply_.result();
      if (is_copy(rows_)) refuse_copy(reply_);
      if (PQntuples(rows_.get()) > 0) return Need::nothing;
      rows_.reset();  // behind the last row comes an empty result
    }
  }
  /// Throws `QueryTimeout` or `QueryCancelled`; not while it is being abandoned.
  void give_up(Wake why) {
    if (abandoning_) return abandoning_->give_up(why);
    reply_.give_up(why);
  }

  /// What the last step found; null at the end.
  [[nodiscard]] ResultHandle rows() noexcept { return std::move(rows_); }
  [[nodiscard]] bool complete() const noexcept { return reply_.complete(); }
  [[nodiscard]] std::string_view sql() const noexcept { return reply_.sql(); }
  /// The next steps cancel the rest.
  void abandon() noexcept {
    if (!reply_.complete()) abandoning_.emplace(reply_);
  }
  void abandon_at_once() noexcept { detail::abandon_at_once(reply_); }

 private:
  Reply reply_;
  ResultHandle rows_;
  std::optional<Abandoning> abandoning_;
};

}  // namespace lido::postgres::detail
