// What a pool remembers of its last moments.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <iterator>
#include <string>
#include <string_view>

#include <lido/detail/concat.hpp>
#include <lido/facts.hpp>

namespace lido {

/// What happened.
enum class EventKind : std::uint8_t {
  opened,       ///< a connection was opened
  open_failed,  ///< an attempt to open failed; `words` has why
  closed,       ///< a connection was closed, for `reason`
  timed_out,    ///< an acquire ran out of time
  refused,      ///< an acquire was refused: `max_waiting`, or a thread that waits for itself
  shed,         ///< an acquire was refused in an overload
  hopeless,     ///< an acquire was refused at once, as its turn would have come too late
  failed_fast,  ///< an acquire was told at once why no connection can be opened
  leaked,       ///< a lease is held for longer than `leak_after`
  invalidated,  ///< all connections that were open are to be replaced
  suspended,    ///< `suspend`
  resumed,      ///< `resume`
  resized,      ///< `resize`
  shut_down,    ///< `close`, or the pool's end
};

[[nodiscard]] constexpr std::string_view to_string(EventKind kind) noexcept {
  constexpr std::string_view names[] = {"opened",          "open failed",     "closed",           "acquire timed out",
                                        "acquire refused", "acquire shed",    "acquire hopeless", "acquire failed fast",
                                        "leaked",          "all invalidated", "suspended",        "resumed",
                                        "resized",         "shut down"};
  static_assert(std::size(names) == static_cast<std::size_t>(EventKind::shut_down) + 1);
  return names[static_cast<std::size_t>(kind)];
}

/// One event, or several alike among the last four. Those of the whole pool (`invalidated` and what stands below it)
/// are one only where nothing happened between them.
struct RecordedEvent {
  EventKind kind = EventKind::opened;
  TimePoint at{};                ///< when it happened, the first time
  TimePoint last{};              ///< when it happened the last time
  std::uint64_t times = 1;       ///< how often
  std::uint64_t connection = 0;  ///< `ConnectionInfo::id`; 0 where it is about none
  CloseReason reason = CloseReason::none;
  std::string words;  ///< the beginning of what was said, on one line
};

/// `1200 ms ago: connection 3 closed, dead`. `now`: of the same clock. Throws `std::bad_alloc`.
[[nodiscard]] inline std::string to_string(const RecordedEvent& event, TimePoint now) {
  const auto ago = [&](TimePoint then) {
    return detail::decimal(std::chrono::duration_cast<std::chrono::milliseconds>(now - then).count());
  };
  std::string text = detail::concat({ago(event.at), " ms ago: "});
  if (event.connection != 0) text = detail::concat({text, "connection ", detail::decimal(event.connection), " "});
  text = detail::concat({text, to_string(event.kind), event.reason == CloseReason::none ? "" : ", ",
                         event.reason == CloseReason::none ? "" : to_string(event.reason),
                         event.words.empty() ? "" : ": ", event.words});
  if (event.times > 1)
    text = detail::concat({text, " (", detail::decimal(event.times), " times, the last ", ago(event.last), " ms ago)"});
  return text;
}

}  // namespace lido
