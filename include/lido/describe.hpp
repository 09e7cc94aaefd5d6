// One screen about a pool for whoever looks into it at night: what it is, has, did last, and who holds what.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <ostream>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include <lido/detail/json.hpp>
#include <lido/pool.hpp>

namespace lido {

/// What `describe` found: figures, connections and events of slightly different moments.
struct PoolDescription {
  TimePoint at{};  ///< when, on `Clock`
  Statistics figures;
  PoolOptions options;
  std::vector<ConnectionDescription> connections;  ///< by their slots, without those that are no more
  std::vector<RecordedEvent> recent;               ///< oldest first
  std::vector<Duration> waits;                     ///< how long callers have waited, the first 64 of the queue
};

/// Describes `pool`. Takes its lock for no longer than `statistics()`, and twice more to copy the events and the times
/// of waiters. The settings, file names and words of errors in it hold no secret that a connector did not put there.
/// Throws `std::bad_alloc`. Thread-safe.
template <class Connection, class Growth, class Health, class Recycle, class Platform>
[[nodiscard]] PoolDescription describe(const Pool<Connection, Growth, Health, Recycle, Platform>& pool) {
  PoolDescription seen{.at = {},
                       .figures = pool.statistics(),
                       .options = pool.options(),
                       .connections = pool.connections(),
                       .recent = pool.recent_events(),
                       .waits = pool.waits()};
  seen.at = Platform::now();  // last: no event is later
  return seen;
}

namespace detail {

[[nodiscard]] inline std::string span_text(Duration span) {
  if (span == Duration::max()) return "never";
  const auto millis = std::chrono::duration_cast<std::chrono::milliseconds>(span).count();
  if (millis < 10'000) return std::to_string(millis) + " ms";
  const auto seconds = millis / 1000;
  return seconds < 600 ? std::to_string(seconds) + " s" : std::to_string(seconds / 60) + " min";
}

// Name and value of the settings, for both forms.
[[nodiscard]] inline std::vector<std::pair<std::string_view, std::string>> settings_of(const PoolOptions& options) {
  return {{"acquire_timeout", span_text(options.acquire_timeout)},
          {"open_timeout", span_text(options.open_timeout)},
          {"check_timeout", span_text(options.check_timeout)},
          {"reset_timeout", span_text(options.reset_timeout)},
          {"barging_limit", span_text(options.barging_limit)},
          {"sweep_interval", span_text(options.sweep_interval)},
          {"leak_after", span_text(options.leak_after)},
          {"backoff_min", span_text(options.backoff_min)},
          {"backoff_max", span_text(options.backoff_max)},
          {"workers", options.workers ? std::to_string(*options.workers) : "default"}};
}

[[nodiscard]] inline std::string place_of(const Holder& holder) {
  return std::string{holder.where.file_name()} + ':' + std::to_string(holder.where.line());
}

}  // namespace detail

/// The description as text: the counts, the settings, a line a connection, a line an event. The first hundred
/// connections, the last thirty events, and the first eight waiters.
inline std::ostream& operator<<(std::ostream& out, const PoolDescription& seen) {
  constexpr std::size_t most_connections = 100;
  constexpr std::size_t most_events = 30;
  constexpr std::size_t most_waits = 8;
  const PoolCounts& now = seen.figures.now;
  std::string text = seen.figures.name + ": " + std::to_string(now.total()) + " of at most " +
                     std::to_string(seen.figures.max_size) + " connections: " + std::to_string(now.leased) +
                     " leased, " + std::to_string(now.idle) + " idle, " + std::to_string(now.opening) + " opening, " +
                     std::to_string(now.checking) + " checking, " + std::to_string(now.closing) + " closing; " +
                     std::to_string(now.waiting) + " waiting";
  const std::size_t shown = std::min(seen.waits.size(), most_waits);
  for (std::size_t at = 0; at < shown; ++at) text += (at == 0 ? ", for " : ", ") + detail::span_text(seen.waits[at]);
  if (shown > 0 && now.waiting > shown) text += ", ...";
  for (const ShareStatistics& share : seen.figures.shares)
    text += "\n  share " + share.name + ": " + std::to_string(share.leased) + " leased, " +
            std::to_string(share.guaranteed) + " guaranteed, at most " + std::to_string(share.at_most) + ", " +
            std::to_string(share.waiting) + " waiting";
  text += "\n ";
  for (const auto& [name, value] : detail::settings_of(seen.options)) text.append(" ").append(name) += '=' + value;
  std::size_t lines = 0;
  for (const ConnectionDescription& one : seen.connections) {
    if (lines++ == most_connections) break;
    if (one.id == 0) {
      text += "\n  one more waits for a worker that opens it";
      continue;
    }
    text += "\n  connection " + std::to_string(one.id) + ' ';
    text += one.state;
    text += ", open for " + detail::span_text(one.age) + ", used " + std::to_string(one.uses) + " times";
    if (one.holder)
      text += "; held for " + detail::span_text(one.holder->held) + " by " + detail::place_of(*one.holder);
  }
  if (seen.connections.size() > most_connections)
    text += "\n  and " + std::to_string(seen.connections.size() - most_connections) + " more";
  const std::size_t first = seen.recent.size() > most_events ? seen.recent.size() - most_events : 0;
  for (std::size_t at = first; at < seen.recent.size(); ++at) text += "\n  " + to_string(seen.recent[at], seen.at);
  return out << text << '\n';
}

/// The description as one JSON object (RFC 8259), with all connections and events. Times are milliseconds: those of
/// events before now.
[[nodiscard]] inline std::string to_json(const PoolDescription& seen) {
  const auto millis = [](Duration span) {
    return std::to_string(std::chrono::duration_cast<std::chrono::milliseconds>(span).count());
  };
  const PoolCounts& now = seen.figures.now;
  std::string text = "{";
  const auto add = [&](std::string_view key, std::string_view value) { detail::add_json_member(text, key, value); };
  add("name", detail::json_string(seen.figures.name));
  add("max_size", std::to_string(seen.figures.max_size));
  add("pool_size", std::to_string(seen.figures.pool_size));
  add("leased", std::to_string(now.leased));
  add("idle", std::to_string(now.idle));
  add("opening", std::to_string(now.opening));
  add("checking", std::to_string(now.checking));
  add("closing", std::to_string(now.closing));
  add("waiting", std::to_string(now.waiting));
  add("oldest_wait_ms", millis(seen.figures.oldest_wait));
  text += ",\"waits_ms\":[";
  for (const Duration wait : seen.waits) text += (text.back() == '[' ? "" : ",") + millis(wait);
  text += "],\"shares\":[";
  for (const ShareStatistics& share : seen.figures.shares) {
    text += text.back() == '[' ? "{" : ",{";
    add("name", detail::json_string(share.name));
    add("leased", std::to_string(share.leased));
    add("guaranteed", std::to_string(share.guaranteed));
    add("at_most", std::to_string(share.at_most));
    add("waiting", std::to_string(share.waiting));
    text += '}';
  }
  text += "],\"settings\":{";
  for (const auto& [name, value] : detail::settings_of(seen.options)) add(name, detail::json_string(value));
  text += "},\"connections\":[";
  for (const ConnectionDescription& one : seen.connections) {
    text += text.back() == '[' ? "{" : ",{";
    add("id", std::to_string(one.id));
    add("state", detail::json_string(one.state));
    add("age_ms", millis(one.age));
    add("uses", std::to_string(one.uses));
    if (one.holder) {
      add("held_ms", millis(one.holder->held));
      add("where", detail::json_string(detail::place_of(*one.holder)));
    }
    text += '}';
  }
  text += "],\"recent\":[";
  for (const RecordedEvent& one : seen.recent) {
    text += text.back() == '[' ? "{" : ",{";
    add("event", detail::json_string(to_string(one.kind)));
    add("ms_ago", millis(seen.at - one.at));
    if (one.times > 1) {
      add("times", std::to_string(one.times));
      add("last_ms_ago", millis(seen.at - one.last));
    }
    if (one.connection != 0) add("connection", std::to_string(one.connection));
    if (one.reason != CloseReason::none) add("reason", detail::json_string(to_string(one.reason)));
    if (!one.words.empty()) add("words", detail::json_string(one.words));
    text += '}';
  }
  return text += "]}";
}

}  // namespace lido
