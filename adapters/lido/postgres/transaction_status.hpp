// What became of a transaction whose COMMIT was not answered.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <optional>
#include <ostream>
#include <source_location>
#include <string>
#include <string_view>

#include <lido/facts.hpp>
#include <lido/postgres/connection.hpp>
#include <lido/postgres/detail/wire/wait.hpp>
#include <lido/postgres/error.hpp>
#include <lido/postgres/result.hpp>

namespace lido::postgres {

/// What the server knows of a transaction.
enum class TransactionStatus : std::uint8_t {
  committed,    ///< all of it is there
  aborted,      ///< nothing of it is there, nor will be
  in_progress,  ///< its session has not ended yet
  unknown,      ///< it had no id, or the server has forgotten it
};

[[nodiscard]] constexpr std::string_view to_string(TransactionStatus status) noexcept {
  switch (status) {
    case TransactionStatus::committed:
      return "committed";
    case TransactionStatus::aborted:
      return "aborted";
    case TransactionStatus::in_progress:
      return "in progress";
    case TransactionStatus::unknown:
    default:
      return "unknown";
  }
}
inline std::ostream& operator<<(std::ostream& out, TransactionStatus status) { return out << to_string(status); }

namespace detail {

/// Takes a transaction's number and the time by which it was assigned.
///
/// A crash may lose the number of a transaction that had written nothing durable, and the server then gives it to
/// another one, whose status is none of ours. It is lost if the last checkpoint, which ends a recovery, came after it
/// and does not know it; a checkpoint's time has no fraction of a second, so that a later start of the server counts,
/// too. Only a second checkpoint can hide this.
///
/// Not so after a promotion, whose checkpoint takes its time: until it is done, the last one is of an older timeline
/// and says nothing of what was replayed since. A number from before the start may then be that transaction's or
/// another one's. Either way `aborted` is true of ours, which has not come here if the number is another one's;
/// anything else is not to be trusted.
inline constexpr std::string_view status_query =
    "select case when $1::bigint < next or $2::bigint >= greatest(checkpointed, started) then txid_status($1::bigint) "
    "when $2::bigint < checkpointed or not promoted then 'aborted' "
    "when txid_status($1::bigint) = 'aborted' then 'aborted' end "
    "from (select split_part(next_xid::text, ':', 1)::bigint * 4294967296 + split_part(next_xid::text, ':', "
    "2)::bigint, "
    "(extract(epoch from checkpoint_time) * 1000000)::bigint, "
    "(extract(epoch from pg_postmaster_start_time()) * 1000000)::bigint, "
    "pg_is_in_recovery() or case when not pg_is_in_recovery() then "
    "('x' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8))::bit(32)::integer <> timeline_id end "
    "from pg_control_checkpoint()) as checkpoint(next, checkpointed, started, promoted)";

[[nodiscard]] inline TransactionStatus status_of(const Result& answer) {
  const auto text = answer.one<std::optional<std::string>>();
  for (const auto status : {TransactionStatus::committed, TransactionStatus::aborted, TransactionStatus::in_progress})
    if (text == to_string(status)) return status;
  return TransactionStatus::unknown;
}

}  // namespace detail

/// Asks the server what became of the transaction whose COMMIT threw `error`; without an id of it `unknown`. While it
/// is in progress, asks again for as long as `patience`: a server takes a moment to notice that a client is gone, and
/// with a broken network as long as its `tcp_keepalives_*` say. Blocks as `acquire` does and for a round trip, and
/// beyond that for `patience`; throws what these throw.
///
/// Needs a server that holds transactions of its own (a standby has none). Ask soon: after a crash of the server the
/// answer is certain until its second checkpoint from then, usually five minutes later. Where it was started as a
/// standby and then promoted, only until the first one, and until then it is `unknown` of what had committed before
/// that start. Whoever is promoted may have given an id that had not reached it to another transaction.
template <class AnyPool>
[[nodiscard]] TransactionStatus transaction_status(AnyPool& pool, const CommitUnknown& error,
                                                   Duration patience = Duration::zero(),
                                                   std::source_location where = std::source_location::current()) {
  if (!error.transaction_id()) return TransactionStatus::unknown;
  const auto [number, assigned] = *error.transaction_id();
  const TimePoint deadline = saturating_add(Clock::now(), patience);
  for (Duration pause = std::chrono::milliseconds{1};; pause = std::min<Duration>(pause * 2, std::chrono::seconds{1})) {
    TransactionStatus status{};
    try {
      status = detail::status_of(pool.acquire(where)->exec(detail::status_query, number, assigned));
    } catch (const QueryError& refused) {
      if (refused.sqlstate() != "22023") throw;
      status = TransactionStatus::unknown;  // a number that this server has not reached: it is another one
    }
    const TimePoint now = Clock::now();
    if (status != TransactionStatus::in_progress || now >= deadline) return status;
    detail::pause_until(std::min(deadline, saturating_add(now, pause)));
  }
}

}  // namespace lido::postgres
