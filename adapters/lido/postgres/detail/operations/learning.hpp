// Asking the server's catalog about arrays of types that it does not have by itself.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <lido/postgres/detail/operations/exchange.hpp>
#include <lido/postgres/detail/values/array_types.hpp>
#include <lido/postgres/detail/wire/channel.hpp>
#include <lido/postgres/detail/wire/handle.hpp>
#include <lido/postgres/detail/wire/shared_result.hpp>
#include <lido/postgres/detail/wire/wait.hpp>
#include <lido/postgres/error.hpp>
#include <lido/postgres/result.hpp>

namespace lido::postgres::detail {

/// Asks about the arrays in results, once a session and type. Where that does not work out, the results are there all
/// the same, and such arrays are not known; but an open transaction that has failed by it is an error.
class Learning {
 public:
  explicit Learning(Channel& channel) noexcept : channel_{&channel} {}

  void look_at(const PGresult* result) { add_unknown(result, channel_->array_types().get(), unknown_); }

  [[nodiscard]] Socket socket() const noexcept { return socket_of(exchange_); }
  /// Throws `QueryError` or `ConnectionLost` in a transaction.
  [[nodiscard]] Need step() {
    if (unknown_.empty()) return Need::nothing;
    return within([this] {
      if (!exchange_) ask();
      const Need need = exchange_ ? exchange_->step() : Need::nothing;
      if (need == Need::nothing && exchange_) take(exchange_->result());
      return need;
    });
  }
  /// Throws `QueryTimeout` or `QueryCancelled` in a transaction.
  void give_up(Wake why) {
    static_cast<void>(within([&]() -> Need {
      if (exchange_) exchange_->give_up(why);
      return Need::nothing;
    }));
  }

 private:
  static constexpr std::string_view shown = "a look into pg_type";

  template <class Action>
  Need within(Action action) {
    Need need = Need::nothing;
    try {
      need = action();
    } catch (const Error&) {
      if (in_transaction_) throw;
    }
    if (need == Need::nothing) unknown_.clear();
    return need;
  }

  void ask() {
    const PGTransactionStatusType status = channel_->transaction();
    if (!channel_->quiet() || status == PQTRANS_INERROR) return;
    in_transaction_ = status == PQTRANS_INTRANS;
    std::string list;
    for (const Oid type : unknown_) list.append(list.empty() ? "" : ",").append(std::to_string(type));
    // Nothing in it depends on the search_path.
    const std::string sql =
        "with recursive a(type, element, delimiter, base) as (select t.oid, coalesce(e.oid, '0'::pg_catalog.oid), "
        "coalesce(e.typdelim, ','), coalesce(e.typbasetype, '0'::pg_catalog.oid) from pg_catalog.pg_type t "
        "left join pg_catalog.pg_type e on e.oid operator(pg_catalog.=) t.typelem "
        "and e.typarray operator(pg_catalog.=) t.oid where t.oid operator(pg_catalog.=) any ('{" +
        list +
        "}'::pg_catalog.oid[]) union all select a.type, b.oid, a.delimiter, b.typbasetype from a "
        "join pg_catalog.pg_type b on b.oid operator(pg_catalog.=) a.base) "
        "select type, element, delimiter from a where base operator(pg_catalog.=) '0'::pg_catalog.oid";
    exchange_.emplace(*channel_, shown, [&](PGconn* raw) { return PQsendQuery(raw, sql.c_str()); });
  }

  void take(const ResultHandle& result) {
    const auto number = [&](int row, int column) {
      std::string_view text = PQgetvalue(result.get(), row, column);
      return take_number<Oid>(text).value_or(0);
    };
    const std::shared_ptr<const ArrayTypes>& before = channel_->array_types();
    auto types = before ? std::make_shared<ArrayTypes>(*before) : std::make_shared<ArrayTypes>();
    for (int row = 0; row < PQntuples(result.get()); ++row)
      types->push_back({number(row, 0), number(row, 1), *PQgetvalue(result.get(), row, 2)});
    channel_->array_types(std::move(types));
  }

  Channel* channel_;
  std::vector<Oid> unknown_;
  std::optional<Exchange> exchange_;
  bool in_transaction_ = false;
};

/// Runs `Operation`, which has one result, and learns what this has arrays of. Not inline, as `ErrorText`.
template <class Operation>
class Learned {
 public:
  template <class... Arguments>
  explicit Learned(Channel& channel, const Arguments&... arguments);
  Learned(const Learned&) = delete;
  Learned& operator=(const Learned&) = delete;
  ~Learned();

  [[nodiscard]] Socket socket() const noexcept { return result_ ? learning_.socket() : operation_.socket(); }
  [[nodiscard]] Need step();
  void give_up(Wake why);
  [[nodiscard]] Result outcome();

 private:
  Channel& channel_;
  Operation operation_;
  Learning learning_;
  ResultHandle result_;
  Origin origin_;
};

template <class Operation>
template <class... Arguments>
Learned<Operation>::Learned(Channel& channel, const Arguments&... arguments)
    : channel_{channel}, operation_{channel, arguments...}, learning_{channel} {}

template <class Operation>
Learned<Operation>::~Learned() = default;

template <class Operation>
Need Learned<Operation>::step() {
  if (!result_) {
    if (const Need need = operation_.step(); need != Need::nothing) return need;
    result_ = operation_.result();
    if (!result_) return Need::nothing;
    origin_ = origin_of(result_.get(), operation_.sql(), channel_.where());
    learning_.look_at(result_.get());
  }
  return learning_.step();
}

template <class Operation>
void Learned<Operation>::give_up(Wake why) {
  result_ ? learning_.give_up(why) : operation_.give_up(why);
}

template <class Operation>
Result Learned<Operation>::outcome() {
  return Result{std::move(result_), channel_.array_types(), origin_};
}

}  // namespace lido::postgres::detail
