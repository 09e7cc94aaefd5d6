// The home of one connection.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <source_location>
#include <string_view>
#include <thread>

#include <lido/detail/thread_mark.hpp>
#include <lido/detail/use_counts.hpp>
#include <lido/facts.hpp>

namespace lido::detail {

// Who may do what to a slot follows from its state alone.
//
//   vacant --> opening --> idle <--> leased --> closing --> vacant
//                          ^  |      ^ |  ^       ^
//                          |  v      | v  |       |
//                    checking resting  recalled --+
//                                        ^
//                       offered <--> barging
//
// Without the lock happen idle -> leased and resting -> leased (acquire), leased -> idle (release), and idle -> resting
// (the sweep), each one compare-exchange. A slot that is `recalled` is leased
// like a leased one, but its exchange fails, so that it comes back under the lock: that is how a waiter, an
// invalidation or a close asks for it. A slot that is `resting` is idle like an idle one, but leased only where no
// other is: so the sweep learns how few would do, also when many threads use many connections in turns (the second
// chance of Corbató's CLOCK, 1968).
//
// `offered` and `barging` are what idle and leased are called while a waiter has been woken and has yet to look. They
// too change into each other without the lock, but offered -> barging until an instant only: see
// `SlotTable::claim_idle`.
enum class SlotState : std::uint8_t {
  vacant,    // no connection; the lock owns it
  opening,   // whoever opens it owns it
  idle,      // nobody owns it: claim it by compare-exchange
  resting,   // the same, and not leased since the last sweep
  offered,   // the same, for a waiter on its way; for others until it has waited its limit
  leased,    // the holder owns it
  unlisted,  // the same, and a search passes it by: see `SlotSearch`
  barging,   // the same, ahead of a waiter on its way; then it is offered again
  recalled,  // the holder owns it and gives it back under the lock
  checking,  // the background owns it
  closing,   // whoever closes it owns it
};
inline constexpr std::size_t slot_states = static_cast<std::size_t>(SlotState::closing) + 1;

[[nodiscard]] constexpr bool is_free(SlotState state) noexcept {
  return state == SlotState::idle || state == SlotState::resting || state == SlotState::offered;
}
// Leased, and given back without the lock.
[[nodiscard]] constexpr bool is_swift(SlotState state) noexcept {
  return state == SlotState::leased || state == SlotState::unlisted || state == SlotState::barging;
}
[[nodiscard]] constexpr bool is_leased(SlotState state) noexcept {
  return is_swift(state) || state == SlotState::recalled;
}

// As users are told; empty where there is no connection.
[[nodiscard]] constexpr std::string_view name_of(SlotState state) noexcept {
  switch (state) {
    case SlotState::opening:
      return "opening";
    case SlotState::idle:
    case SlotState::resting:
    case SlotState::offered:
      return "idle";
    case SlotState::leased:
    case SlotState::unlisted:
    case SlotState::barging:
    case SlotState::recalled:
      return "leased";
    case SlotState::checking:
      return "checking";
    case SlotState::closing:
      return "closing";
    case SlotState::vacant:
    default:
      return {};
  }
}

// What is known of an idle connection, beside what the policies may ask it.
enum class Trust : std::uint8_t {
  usual,
  fresh,  // opened because a caller waited, and not leased yet: for a while it needs no health check
  none,   // others of its generation are gone, and nobody has had the time to close it: whoever gets it does
};
// What a slot has to do with connections that will be worn soon: see `Replacements`.
enum class Wear : std::uint8_t {
  none,
  worn,         // its own will be, and is kept while another is opened
  replacement,  // it is opening in the place of such a one
};

// How long a connection that was opened for a caller is taken for healthy.
inline constexpr Duration fresh_for = std::chrono::seconds{1};

// The bytes that a processor takes at a time, on the machines that matter: what threads write lies apart by so much
// from what others write or read.
inline constexpr std::size_t cache_line = 64;

// Until when the policies surely keep a connection, as they said when they were last asked; the epoch: they are asked.
template <bool timed>
struct Promise {
  TimePoint until{};
};
template <>
struct Promise<false> {};

// When the last holder let go.
template <bool timed>
struct LastUse {
  TimePoint ended{};
};
template <>
struct LastUse<false> {
  static constexpr TimePoint ended{};  // the pool reads no clock then
};

// Two slots never share a line. What each lease writes lies in the first one; what few write follows. `timed`: a policy
// needs a clock, so that it is known how long a use was.
template <class Connection, class Platform, bool timed = true>
struct alignas(std::max(cache_line, alignof(Connection))) Slot {
  static constexpr bool is_timed = timed;

  typename Platform::template Atomic<SlotState> state{SlotState::vacant};

  // Owned by the lock.
  bool retire = false;   // close it when it comes back
  bool probe = false;    // its open has little time
  bool stalled = false;  // its open takes too long to be counted on
  Wear wear = Wear::none;
  CloseReason close_reason = CloseReason::none;  // of one that is closing, or is to be

  // Owned by whoever owns the slot, and handed on with it.
  bool hurried = false;  // the holder acquired asynchronously: giving back may not hold it up either

  // The same. Atomic because statistics and time-outs look at slots that they do not own; relaxed
  // because nothing follows from what they see, but for what `holder_if_any` reads.
  std::atomic<Trust> trust{Trust::usual};
  // Odd while the slot has a holder: one look says how many leases began here, how many ended, and whether one goes on.
  std::atomic<std::uint64_t> holder_changes{0};
  // When it was leased or given back. The epoch where no policy needs a clock: then whoever looks first sets it.
  std::atomic<TimePoint> since{};
  std::atomic<std::source_location> where{};
  std::atomic<std::uint64_t> holder_number{ThreadMark::nobody};  // of the holder's thread, or the last one's
  std::atomic<std::thread::id> thread{};                         // its id
  std::atomic<std::uint64_t> uses{0};                            // leases of this connection
  [[no_unique_address]] LastUse<timed> last_use;                 // as `hurried`

  // The second line; without a clock there is room for one more in the first.
  std::atomic<std::uint64_t> id{0};             // 0: it has no connection, and no attempt to open one has begun
  std::atomic<std::uint64_t> expected_long{0};  // which lease its holder means to keep for long, by `holder_changes`
  std::atomic<TimePoint> opened_at{};
  std::atomic<TimePoint> checked_at{};   // when it was last opened or found healthy
  std::atomic<std::uint32_t> spread{0};  // in parts of 2^32
  std::uint32_t share = 0;   // the number of the share whose callers have it; 0: nobody counts that; owned by the lock
  TimePoint leaked_since{};  // since when the present lease lasts, if it was reported as a leak; owned by the lock
  std::thread::id closer{};  // who retired it; owned by the lock
  Slot* next_job = nullptr;  // links slots that wait for a worker; owned by the lock
  [[no_unique_address]] UseCounts<Platform, timed> use;
  [[no_unique_address]] Promise<timed> kept;  // as `hurried`

  Slot() noexcept {}  // NOLINT(modernize-use-equals-default): the union member is not made here
  ~Slot() {           // NOLINT(modernize-use-equals-default)
    // Here the size is known. Beside the connection it is three lines at most, and two without a clock, or what its
    // alignment makes of them; but where the atomics of a test keep their history.
    constexpr auto aligned = [](std::size_t size) {
      return (size + alignof(Slot) - 1) / alignof(Slot) * alignof(Slot);
    };
    static_assert(sizeof(state) > sizeof(SlotState) ||
                  sizeof(Slot) <= aligned((timed ? 3 : 2) * cache_line) + aligned(sizeof(Connection)));
  }
  Slot(const Slot&) = delete;
  Slot& operator=(const Slot&) = delete;

  // Makes the connection from what `make` returns, in place: a connection need not be movable.
  template <class Make>
  void emplace(Make&& make) {
    ::new (static_cast<void*>(std::addressof(connection))) Connection(make());
  }
  // Not noexcept: a destructor that throws is counted, not fatal.
  void destroy() noexcept(false) { connection.~Connection(); }

  // Changes the state for the caller if it is `from`. Acquire: the caller sees what whoever published it did.
  bool claim(SlotState from, SlotState to) noexcept {
    // The load first: a failed exchange would take the line from whoever works on it.
    return state.load(std::memory_order_relaxed) == from &&
           state.compare_exchange_strong(from, to, std::memory_order_acquire, std::memory_order_relaxed);
  }
  // Of one that is opening: somebody is at it. Needs the lock.
  [[nodiscard]] bool has_begun() const noexcept { return id.load(std::memory_order_relaxed) != 0; }
  // Fills in when it was leased or given back where the fast path reads no clock: from then on "at least so long".
  void stamp(TimePoint now) noexcept {
    if constexpr (!timed) {
      TimePoint unknown{};
      since.compare_exchange_strong(unknown, now, std::memory_order_relaxed);
    }
  }
  [[nodiscard]] bool is_fresh(TimePoint now) const noexcept {
    return trust.load(std::memory_order_relaxed) == Trust::fresh &&
           now - opened_at.load(std::memory_order_relaxed) < fresh_for;
  }
  void end_freshness() noexcept {
    if (trust.load(std::memory_order_relaxed) == Trust::fresh) trust.store(Trust::usual, std::memory_order_relaxed);
  }
  void count_use() noexcept { bump(uses); }
  // What a holder is told by is written between two changes of `holder_changes`, and read between two looks at it.
  // Release, each: whoever reads one of them knows at the second look that the lease of the first is over.
  // Inline, as each acquire passes it.
  [[gnu::always_inline]] void begin_lease(std::source_location location, ThreadMark by, TimePoint now) noexcept {
    hurried = false;
    where.store(location, std::memory_order_release);
    since.store(now, std::memory_order_release);
    if (by.number != holder_number.load(std::memory_order_relaxed)) change_holder(by);
    // Last: who sees a holder sees since when. Otherwise the time that the connection lay idle would pass for a leak.
    bump(holder_changes, std::memory_order_release);
  }
  // It took until now that the holder has the connection in hand.
  void begin_use(TimePoint now) noexcept { since.store(now, std::memory_order_release); }
  // The holder lets go. Harmless where there is none: a connection may be given back before anybody has had it.
  void end_lease(TimePoint now) noexcept {
    if (!has_holder()) return;
    if (now != TimePoint{}) use.record(std::max(now - since.load(std::memory_order_relaxed), Duration::zero()));
    if constexpr (timed) last_use.ended = now;
    bump(holder_changes);
  }
  // For the present holder, and no later one.
  void expect_long() noexcept {
    expected_long.store(holder_changes.load(std::memory_order_relaxed), std::memory_order_relaxed);
  }
  [[nodiscard]] bool is_expected_long() const noexcept {
    return expected_long.load(std::memory_order_relaxed) == holder_changes.load(std::memory_order_relaxed);
  }
  // Not so while an acquire still checks the connection, nor while it is put in order.
  [[nodiscard]] bool has_holder() const noexcept { return holder_changes.load(std::memory_order_acquire) % 2 != 0; }
  // `number`: where the number of its thread goes, of which the id may have been another's before; or null.
  [[nodiscard]] std::optional<Holder> holder_if_any(TimePoint now, std::uint64_t* number = nullptr) const noexcept {
    const std::uint64_t before = holder_changes.load(std::memory_order_acquire);
    if (before % 2 == 0) return std::nullopt;
    // Acquire, each: the second look comes after them.
    const Holder seen = holder(since.load(std::memory_order_acquire), now);
    if (number != nullptr) *number = holder_number.load(std::memory_order_acquire);
    if (holder_changes.load(std::memory_order_relaxed) != before) return std::nullopt;
    return seen;
  }
  [[nodiscard]] Holder holder(TimePoint held_since, TimePoint now) const noexcept {
    const bool known = held_since != TimePoint{} && held_since < now;
    return {.where = where.load(std::memory_order_acquire),
            .thread = thread.load(std::memory_order_acquire),
            .held = known ? now - held_since : Duration::zero(),
            .connection_id = id.load(std::memory_order_acquire)};
  }
  [[nodiscard, gnu::noinline]] ConnectionInfo info(Moment moment, TimePoint now, TimePoint deadline) const noexcept {
    const auto relaxed = std::memory_order_relaxed;
    const bool back = moment == Moment::release || moment == Moment::discard;
    const TimePoint start = since.load(relaxed);
    // Whoever looked at the clock may have found the slot later, and others have had it between.
    const Duration span = start == TimePoint{} || now < start ? Duration::zero() : now - start;
    return {.id = id.load(relaxed),
            .age = std::max(now - opened_at.load(relaxed), Duration::zero()),  // likewise
            .idle = back ? Duration::zero() : span,
            .held = back ? span : Duration::zero(),
            .uses = uses.load(relaxed),
            .moment = moment,
            .spread = spread.load(relaxed) * 0x1p-32,
            .deadline = deadline};
  }

  union {
    Connection connection;  // alive in each state from idle to checking
  };

 private:
  // Apart, as most slots are leased by one thread again and again.
  [[gnu::noinline]] void change_holder(ThreadMark by) noexcept {
    holder_number.store(by.number != 0 ? by.number : thread_number<Slot>(), std::memory_order_release);
    thread.store(by.id != std::thread::id{} ? by.id : Platform::this_thread(), std::memory_order_release);
  }
  // One writer at a time, so that a plain load and store count exactly and cost no locked instruction.
  static void bump(std::atomic<std::uint64_t>& counter, std::memory_order order = std::memory_order_relaxed) noexcept {
    counter.store(counter.load(std::memory_order_relaxed) + 1, order);
  }
};

}  // namespace lido::detail
