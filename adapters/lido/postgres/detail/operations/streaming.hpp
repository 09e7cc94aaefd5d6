// One statement whose rows are taken as they come.
#pragma once

#include <concepts>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include <lido/postgres/detail/operations/exchange.hpp>
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
  /// Throws `QueryError` or `ConnectionLost`.
  Streaming(Channel& channel, std::string_view sql, const Bound& bound) : Leavable{channel, sql} {
    StatementCache::check_text(sql);
    if (const std::string why = wrong_count(bound, sql); !why.empty()) throw channel.failed(sql, why);
    channel.runs(sql);
    const std::string text{sql};
    reply().send_at_once([&](PGconn* raw) { return send_params(raw, text.c_str(), bound); },
                         [](PGconn* raw) { return take_rows_as_they_come(raw); });
  }

  /// Throws `QueryError` or `ConnectionLost`.
  [[nodiscard]] Need step() {
    if (auto& leaving = abandoning()) return leaving->step();
    for (;;) {
      if (const Need need = reply().step(); need != Need::nothing) return need;
      if (complete()) return reply().check(), Need::nothing;
      rows_ = reply().result();
      if (is_copy(rows_)) refuse_copy(reply());
      reply().returned(rows_.get());
      if (PQntuples(rows_.get()) > 0) return Need::nothing;
      rows_.reset();  // behind the last row comes an empty result
    }
  }

  /// What the last step found; null at the end.
  [[nodiscard]] ResultHandle rows() noexcept { return std::move(rows_); }

 private:
  ResultHandle rows_;
};

}  // namespace lido::postgres::detail
