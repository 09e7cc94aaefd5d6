// Several kinds of callers of one pool: what each may have, who waits in it, and whose turn it is.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include <lido/detail/waiter.hpp>
#include <lido/facts.hpp>
#include <lido/options.hpp>
#include <lido/statistics.hpp>

namespace lido::detail {

// What a share may have, and has.
struct ShareCounts {
  std::size_t guaranteed = 0;
  std::size_t at_most = ShareOptions{}.at_most;
  std::size_t leased = 0;

  // How many of its guarantee it has not.
  [[nodiscard]] constexpr std::size_t unmet() const noexcept { return guaranteed > leased ? guaranteed - leased : 0; }
  // How many it has beyond it.
  [[nodiscard]] constexpr std::size_t beyond() const noexcept { return leased > guaranteed ? leased - guaranteed : 0; }
};

// Whether a share may have one more, where `spare` connections are neither leased nor guaranteed to anybody.
[[nodiscard]] constexpr bool may_have_more(const ShareCounts& share, std::size_t spare) noexcept {
  return share.leased < share.guaranteed || (spare > 0 && share.leased < share.at_most);
}

// Whether `one` is served before `other`: first who has not what it is guaranteed, and of those who has the smaller
// part of it; then who has fewest beyond it. Of two who are alike whoever waits longer.
[[nodiscard]] constexpr bool comes_first(const ShareCounts& one, TimePoint one_since, const ShareCounts& other,
                                         TimePoint other_since) noexcept {
  if ((one.unmet() > 0) != (other.unmet() > 0)) return one.unmet() > 0;
  const std::size_t mine = one.unmet() > 0 ? one.leased * other.guaranteed : one.beyond();
  const std::size_t theirs = one.unmet() > 0 ? other.leased * one.guaranteed : other.beyond();
  return mine != theirs ? mine < theirs : one_since < other_since;
}

// What keeps a caller from what is idle, for those who ask why it got none.
struct ShareHold {
  bool any = false;                   // there are shares
  const std::string* name = nullptr;  // of the caller's, or null
  ShareCounts counts;
  std::size_t waiting = 0;
  std::size_t withheld = 0;  // so many are guaranteed to others, who have them not
  bool full = false;         // it has all it may have
  bool back = false;         // or it may have none of what is left
};

// One share. What it is called and may have never changes; the rest is owned by the lock.
template <class Slot>
struct ShareAccount {
  using Waiter = detail::Waiter<Slot>;

  ShareAccount(std::string its_name, const ShareOptions& its_options) noexcept
      : name{std::move(its_name)},
        options{its_options},
        counts{.guaranteed = its_options.guaranteed, .at_most = its_options.at_most, .leased = 0} {}

  // The one who waits longest and is not at work, or null.
  [[nodiscard]] Waiter* next_in_line() const noexcept {
    Waiter* waiter = first;
    while (waiter != nullptr && waiter->busy) waiter = waiter->next_in_share;
    return waiter;
  }
  [[nodiscard]] bool full() const noexcept { return counts.leased >= counts.at_most; }

  // `unfit`: as in `WaitList::add`.
  void add(Waiter& waiter, bool unfit) noexcept {
    Waiter* later = unfit ? first : nullptr;
    while (later != nullptr && !WaitQueue<Slot>::comes_before(waiter, *later)) later = later->next_in_share;
    waiter.next_in_share = later;
    waiter.previous_in_share = later != nullptr ? later->previous_in_share : last;
    (waiter.previous_in_share != nullptr ? waiter.previous_in_share->next_in_share : first) = &waiter;
    (later != nullptr ? later->previous_in_share : last) = &waiter;
    ++waiting;
  }
  void remove(Waiter& waiter) noexcept {
    Waiter* const before = waiter.previous_in_share;
    Waiter* const behind = waiter.next_in_share;
    (before != nullptr ? before->next_in_share : first) = behind;
    (behind != nullptr ? behind->previous_in_share : last) = before;
    --waiting;
  }

  const std::string name;
  const ShareOptions options;
  std::uint32_t number = 1;  // the pool's own callers are the first
  ShareCounts counts;
  ShareStatistics figures;  // what was counted; the rest is not filled in
  Waiter* first = nullptr;
  Waiter* last = nullptr;
  std::size_t waiting = 0;
  std::unique_ptr<ShareAccount> next;  // the one that was made after it
};

// All of one pool. Who acquires from the pool itself has an account too, with no guarantee and no limit, once there is
// another. Everything needs the lock but where it says otherwise.
//
// The invariant: what is leased and what is guaranteed to those who have it not is never more than the pool may have.
// So whoever has not its guarantee finds it, idle or as room to open. What was leased before there were shares, and
// what a resize took away, may break it until it has come back.
template <class Slot>
class Shares {
 public:
  using Account = ShareAccount<Slot>;
  using Waiter = detail::Waiter<Slot>;

  Shares() = default;
  Shares(const Shares&) = delete;
  Shares& operator=(const Shares&) = delete;
  ~Shares() {  // one by one, however many there are
    while (first_ != nullptr) first_ = std::move(first_->next);
  }

  [[nodiscard]] bool any() const noexcept { return first_ != nullptr; }
  // Needs no lock. Acquire: whoever knows of so many sees them.
  [[nodiscard]] std::size_t count() const noexcept { return count_.load(std::memory_order_acquire); }
  // Calls `function` with the first `most`. Needs no lock for as many as `count` told.
  template <class Function>
  void each(std::size_t most, Function function) const {
    for (Account* one = most > 0 ? first_.get() : nullptr; one != nullptr; one = --most > 0 ? one->next.get() : nullptr)
      function(*one);
  }
  [[nodiscard]] Account* find(std::string_view name) const noexcept {
    Account* one = first_.get();
    while (one != nullptr && one->name != name) one = one->next.get();
    return one;
  }
  // Of all together.
  [[nodiscard]] std::size_t guaranteed() const noexcept { return guaranteed_; }
  [[nodiscard]] std::size_t leased() const noexcept { return leased_; }

  void add(std::unique_ptr<Account> account) noexcept {
    account->number = (last_ != nullptr ? last_ : &own_)->number + 1;
    guaranteed_ += account->counts.guaranteed;
    (last_ != nullptr ? last_->next : first_) = std::move(account);
    last_ = last_ != nullptr ? last_->next.get() : first_.get();
    count_.store(count_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  }
  // The same as another pool has, with nothing leased and nobody who waits.
  void add_those_of(const Shares& other) {
    other.each(other.count(), [this](const Account& one) { add(std::make_unique<Account>(one.name, one.options)); });
  }
  // How many connections the pool may have.
  void resize(std::size_t size) noexcept { size_ = size; }

  // Whose account that is; null: the pool's own callers'.
  [[nodiscard]] Account& of(Account* account) noexcept { return account != nullptr ? *account : own_; }
  [[nodiscard]] bool may_have_more(Account* account) noexcept {
    return detail::may_have_more(of(account).counts, spare());
  }

  // The same, asked of many at one moment.
  [[nodiscard]] auto who_may_have_more() noexcept {
    return [this, spare = spare()](Account* account) { return detail::may_have_more(of(account).counts, spare); };
  }

  [[nodiscard]] ShareHold held_by(Account* account) noexcept {
    ShareHold hold;
    if (!any()) return hold;
    hold.any = true;
    const Account& caller = of(account);
    if (account != nullptr) hold.name = &caller.name;
    hold.counts = caller.counts;
    hold.waiting = caller.waiting;
    each_account([&](const Account& other) { hold.withheld += &other != &caller ? other.counts.unmet() : 0; });
    hold.full = caller.full();
    hold.back = hold.full || (hold.withheld > 0 && !may_have_more(account));
    return hold;
  }

  // --- who waits --------------------------------------------------------------------------------------------------

  void add(Waiter& waiter, bool unfit) noexcept { of(waiter.share).add(waiter, unfit); }
  void remove(Waiter& waiter) noexcept { of(waiter.share).remove(waiter); }

  // Who is to have the next connection; null where none of those who wait may have one. Asks each share.
  [[nodiscard]] Waiter* next_in_line() noexcept {
    const std::size_t spare = this->spare();
    Waiter* best = nullptr;
    each_account([&](Account& account) {
      Waiter* const waiter = account.next_in_line();
      if (waiter == nullptr || !detail::may_have_more(account.counts, spare)) return;
      if (best == nullptr || comes_first(account.counts, waiter->since, of(best->share).counts, best->since))
        best = waiter;
    });
    return best;
  }
  // How many of those who wait could have one at once, if there were enough.
  [[nodiscard]] std::size_t servable() noexcept {
    std::size_t within = 0;
    std::size_t beyond = 0;
    each_account([&](const Account& account) {
      const ShareCounts& counts = account.counts;
      const std::size_t guaranteed = std::min(account.waiting, counts.unmet());
      within += guaranteed;
      beyond += std::min(account.waiting - guaranteed, counts.at_most - std::max(counts.leased, counts.guaranteed));
    });
    return within + std::min(beyond, spare());
  }

  // --- who has what -----------------------------------------------------------------------------------------------

  // The slot is leased by a caller of this account.
  void lease(Slot& slot, Account* to) noexcept {
    Account& account = of(to);
    slot.share = account.number;
    ++account.counts.leased;
    ++account.figures.acquired;
    ++leased_;
  }
  // It is leased no more. False: nobody counted it. Asks each share: a slot has room for a number, not for a pointer.
  bool end_lease(Slot& slot) noexcept {
    const std::uint32_t number = std::exchange(slot.share, 0);
    if (number == 0) return false;
    each_account([number](Account& account) { account.counts.leased -= account.number == number ? 1 : 0; });
    --leased_;
    return true;
  }

 private:
  template <class Function>
  void each_account(Function function) {
    function(own_);
    for (Account* one = first_.get(); one != nullptr; one = one->next.get()) function(*one);
  }
  // How many connections are neither leased nor guaranteed.
  [[nodiscard]] std::size_t spare() noexcept {
    std::size_t taken = leased_;
    each_account([&](const Account& account) { taken += account.counts.unmet(); });
    return size_ - std::min(size_, taken);
  }

  Account own_{"", ShareOptions{}};
  std::unique_ptr<Account> first_;
  Account* last_ = nullptr;
  std::atomic<std::size_t> count_{0};
  std::size_t guaranteed_ = 0;
  std::size_t leased_ = 0;
  std::size_t size_ = 0;
};

}  // namespace lido::detail
