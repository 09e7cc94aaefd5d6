// Whom a connection goes to that is free.
#pragma once

#include <cstdint>

namespace lido::detail {

enum class Destination : std::uint8_t {
  close,           // nobody is to have it any more
  idle,            // nobody waits for it
  head,            // the oldest waiter's, now
  offered,         // whoever is quickest has it, ahead of one who was woken before
  offered_to_head  // the same, and the oldest waiter is woken
};

struct FreedSlot {
  bool unwanted = false;        // it is to be closed, or the pool is closed
  bool reuse = false;           // the growth policy keeps connections
  bool awaited = false;         // somebody waits who is not at work on one of his own, and the pool leases
  bool competes = false;        // the oldest of them is a thread that runs for it when it is woken
  bool overdue = false;         // and has waited its limit
  bool wake_in_flight = false;  // one was woken, and has yet to look
  bool plenty = false;          // so many are free, or come back without the lock, that to offer them takes long
};

// Handing it over keeps the order; offering it keeps it busy while the oldest wakes up. At most one wake is in flight:
// whoever was woken looks at the slots after this. Where there is plenty nobody misses the one that is handed over.
[[nodiscard]] constexpr Destination destination_of(const FreedSlot& freed) noexcept {
  if (freed.unwanted) return Destination::close;
  if (!freed.awaited) return freed.reuse ? Destination::idle : Destination::close;
  if (!freed.reuse || !freed.competes || freed.overdue || freed.plenty) return Destination::head;
  return freed.wake_in_flight ? Destination::offered : Destination::offered_to_head;
}

}  // namespace lido::detail
