// The words of the pool's errors: what happened, to whom, and what to look at.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <sstream>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <lido/detail/concat.hpp>
#include <lido/detail/describe.hpp>
#include <lido/detail/shares.hpp>
#include <lido/error.hpp>

namespace lido::detail {

[[nodiscard]] inline std::string milliseconds(Duration span) {
  return concat({decimal(std::chrono::duration_cast<std::chrono::milliseconds>(span).count()), " ms"});
}

[[nodiscard]] inline std::string closed_message(const std::string& pool) {
  return concat({pool, ": acquire: the pool is closed"});
}

[[nodiscard]] inline std::string inherited_message(const std::string& pool) {
  return concat({pool, ": acquire: begun before the fork, in the parent, whose connections are its own: acquire anew"});
}

[[nodiscard]] inline std::string queue_full_message(const std::string& pool, const std::string* share) {
  if (share == nullptr) return concat({pool, ": acquire: max_waiting callers ", "wait already"});
  return concat({pool, ": acquire: max_waiting callers ", "of share ", *share, " wait already"});
}

// What is to be known of the share of one that got no connection, as a part of its message.
[[nodiscard]] inline std::string share_words(const ShareHold& held, std::size_t max_size) {
  if (!held.any) return {};
  std::string others;
  if (held.withheld > 0) others = concat({", ", decimal(held.withheld), " kept for other shares"});
  if (held.name == nullptr) return concat({"; without a share: ", decimal(held.counts.leased), " leased", others});
  return concat({"; share ", *held.name, ": ", decimal(held.counts.leased), " leased, ",
                 decimal(held.counts.guaranteed), " guaranteed, at most ",
                 decimal(std::min(held.counts.at_most, max_size)), ", ", decimal(held.waiting), " waiting", others});
}

[[nodiscard]] inline std::string describe(const Holder& holder) {
  std::ostringstream thread;
  thread << holder.thread;
  return concat({"connection ", decimal(holder.connection_id), ": leased for ", milliseconds(holder.held), " at ",
                 holder.where.file_name(), ":", decimal(holder.where.line()), " in thread ", thread.str()});
}

// The last failed open, as the end of a message: on the line that a user reads first, and not longer than a few lines.
[[nodiscard]] inline std::string last_failure(const std::exception_ptr& cause) {
  constexpr std::size_t longest = 500;
  if (cause == nullptr) return {};
  std::string text = describe(cause);
  for (char& character : text)
    if (character == '\n' || character == '\r') character = ' ';
  if (text.size() > longest) text.replace(longest, std::string::npos, "...");
  return concat({"; last failure: ", text});
}

// What time-outs tell of those who have the connections: the same for all whose time was over when it was written,
// since there may be thousands of them at once.
struct Exhaustion {
  struct Line {
    std::uint64_t thread_number;
    std::string text;
  };
  static constexpr std::size_t shown = 10;

  TimePoint at;  // later than all that it tells
  PoolCounts counts;
  std::shared_ptr<const std::vector<Holder>> holders;
  std::shared_ptr<const std::vector<RecordedEvent>> recent;
  std::vector<Line> lines;
};

// Whether it may explain a time-out, and is not said by the rest of its message.
[[nodiscard]] inline bool explains_timeout(const RecordedEvent& event) noexcept {
  switch (event.kind) {
    case EventKind::closed:
      return event.reason == CloseReason::dead;
    case EventKind::leaked:
    case EventKind::invalidated:
    case EventKind::suspended:
    case EventKind::resumed:
    case EventKind::resized:
    case EventKind::refused:
      return true;
    default:
      return false;
  }
}

// The last of them, a line each.
[[nodiscard]] inline std::string last_moments(const Exhaustion& seen) {
  constexpr std::size_t shown = 5;
  const auto explaining = static_cast<std::size_t>(std::ranges::count_if(*seen.recent, explains_timeout));
  std::size_t earlier = explaining - std::min(explaining, shown);
  std::string text;
  for (const RecordedEvent& event : *seen.recent) {
    if (!explains_timeout(event)) continue;
    if (earlier > 0)
      --earlier;
    else
      text.append("\n  ").append(to_string(event, seen.at));
  }
  return text;
}

// `self`: the number of the waiting thread, which holds `own` of them itself.
[[nodiscard]] inline std::string timeout_message(const std::string& pool, Phase phase, bool unfit, Duration waited,
                                                 const Exhaustion& seen, std::size_t max_size, std::uint64_t self,
                                                 std::size_t own, const std::exception_ptr& cause,
                                                 const ShareHold& held) {
  const PoolCounts& counts = seen.counts;
  const std::string_view why = phase == Phase::waiting   ? (held.full   ? "the share has all that it may have"
                                                            : held.back ? "what is left is guaranteed to other shares"
                                                                        : "exhausted, all leased")
                               : phase == Phase::opening ? "none could be opened"
                               : unfit                   ? "connections were found unfit until no time was left"
                                                         : "those that are not leased are being checked";
  std::string text = concat({pool,
                             ": acquire: no connection within ",
                             milliseconds(waited),
                             ": ",
                             why,
                             "; at most ",
                             decimal(max_size),
                             ": ",
                             decimal(counts.leased),
                             " leased, ",
                             decimal(counts.idle),
                             " idle, ",
                             decimal(counts.opening),
                             " opening, ",
                             decimal(counts.checking),
                             " checking, ",
                             decimal(counts.closing),
                             " closing; ",
                             decimal(counts.waiting),
                             " waiting",
                             share_words(held, max_size),
                             last_failure(cause)});
  for (const Exhaustion::Line& line : seen.lines)
    text.append(line.text).append(line.thread_number == self ? " (the one that waits)" : "");
  if (counts.leased > seen.lines.size())
    text.append(concat({"\n  and ", decimal(counts.leased - seen.lines.size()), " more"}));
  text.append(last_moments(seen));
  if (own > 0) text.append(concat({"\n  the waiting thread itself holds ", decimal(own), " of them"}));
  return text;
}

// Of one that waited for `waited` in a queue that stands above `limit`.
[[nodiscard]] inline std::string overloaded_message(const std::string& pool, Duration waited, Duration limit,
                                                    const Exhaustion& seen) {
  return concat({pool, ": acquire: overloaded: refused after ", milliseconds(waited),
                 ", as even the shortest wait stays above ", milliseconds(limit), "; ", decimal(seen.counts.leased),
                 " leased, ", decimal(seen.counts.waiting), " waiting"});
}

// Of one that would have to wait for `expected` at least, and has `left`.
[[nodiscard]] inline std::string hopeless_message(const std::string& pool, Duration expected, Duration left,
                                                  const Exhaustion& seen) {
  return concat({pool, ": acquire: overloaded: refused at once, as its turn comes after ", milliseconds(expected),
                 " at the soonest, and its time is over after ", milliseconds(left), "; ", decimal(seen.counts.leased),
                 " leased, ", decimal(seen.counts.waiting), " waiting"});
}

}  // namespace lido::detail
