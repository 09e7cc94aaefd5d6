// What a worker does next.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace lido::detail {

// What waits for a worker.
struct PendingWork {
  bool asked = false;     // a caller has a connection in hand which is to be checked
  bool returned = false;  // a connection came back and is to be put in order
  bool suspects = false;  // one that nobody gets before it was checked
  bool opens = false;
  bool closes = false;
  bool sweep = false;     // it is time for one
  bool stopping = false;  // the pool is at its end
};

enum class Task : std::uint8_t { check_for_caller, put_in_order, open, close, check_suspect, sweep, end, rest };

// Each kind of work has its turn behind the one that this worker did last, so that none waits for all of another: first
// for a caller who has all but the check, then what comes back, then new ones; and then suspects, whose checks take
// long where the server is away.
//
// An open goes before a close: it serves somebody, and a close makes room, without which no open waits. A close is not
// put off for ever: of several workers not all may open at a time, and one that is alone runs out of room. What nobody
// waits for comes last.
[[nodiscard]] constexpr Task next_task(const PendingWork& pending, Task last) noexcept {
  constexpr std::array turns{Task::check_for_caller, Task::put_in_order, Task::open, Task::check_suspect};
  const std::array<bool, turns.size()> waits{pending.asked, pending.returned, pending.opens || pending.closes,
                                             pending.suspects};
  std::size_t next = 0;
  for (std::size_t i = 0; i < turns.size(); ++i)
    if (turns[i] == last || (turns[i] == Task::open && last == Task::close)) next = i + 1;
  for (std::size_t step = 0; step < turns.size(); ++step) {
    const std::size_t i = (next + step) % turns.size();
    if (waits[i]) return turns[i] == Task::open && !pending.opens ? Task::close : turns[i];
  }
  return pending.stopping ? Task::end : pending.sweep ? Task::sweep : Task::rest;
}

}  // namespace lido::detail
