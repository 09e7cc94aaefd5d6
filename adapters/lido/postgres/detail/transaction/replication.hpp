// How far a standby is behind its primary.
#pragma once

#include <algorithm>
#include <chrono>
#include <optional>

#include <lido/facts.hpp>
#include <lido/postgres/result.hpp>

namespace lido::postgres::detail {

/// In microseconds. Nothing on a primary, and on a standby that is connected to one and has replayed all that it was
/// sent; else the age of the last transaction that it has replayed, and null where there is none. Both machines' clocks
/// go into that. What is held up on the way to the standby is not seen before it gives the connection up, after its
/// `wal_receiver_timeout`: when it last heard from the primary tells nothing, as that may be silent for long where
/// nothing is written.
inline constexpr const char* measure_lag =
    "select case "
    "when not pg_catalog.pg_is_in_recovery() then 0 "
    "when pg_catalog.pg_last_wal_receive_lsn() <= pg_catalog.pg_last_wal_replay_lsn() "
    "and exists (select from pg_catalog.pg_stat_wal_receiver) then 0 "
    "else (extract(epoch from "
    "pg_catalog.clock_timestamp() - pg_catalog.pg_last_xact_replay_timestamp()) * 1000000)::bigint end";

/// What `measure_lag` found; `Duration::max()` where it is unknown, and nothing less than zero, as where the primary's
/// clock is ahead. (The server's own GREATEST takes no notice of a null.)
[[nodiscard]] inline Duration lag_of(const Result& measured) {
  const auto micros = measured.one<std::optional<long long>>();
  if (!micros || *micros > std::chrono::duration_cast<std::chrono::microseconds>(Duration::max()).count())
    return Duration::max();
  return std::chrono::microseconds{std::max(*micros, 0LL)};
}

}  // namespace lido::postgres::detail
