// One of several kinds of callers of a pool: what `Pool::share` returns. Part of pool.hpp.
#pragma once

#include <optional>
#include <source_location>
#include <string>
#include <utility>

#include <lido/async.hpp>
#include <lido/facts.hpp>
#include <lido/options.hpp>
#include <lido/statistics.hpp>

namespace lido {

/// The part of a pool that one kind of callers may have: acquires as the pool does, and stands wherever a pool does
/// that is acquired from. `ShareOptions::guaranteed` connections are its callers' whenever they want them, at once but
/// for the time to open one, and to close another first where the pool is at its maximum. What others are guaranteed
/// and have not is kept for them; the rest is anybody's, up to `ShareOptions::at_most`, and comes back first to whoever
/// has not what it is guaranteed.
///
/// Of a connection that comes back those are served first whose share has not what it is guaranteed, and of several the
/// one that has the smallest part of it; then the share that has the fewest beyond it, zero or more. In a share, and
/// among shares that are alike, first come, first served; nobody overtakes. Serving one asks each share, so that tens
/// of them cost little.
///
/// Cheap to copy. Thread-safe. The pool has to outlive it, and may not be moved while there is one; a lease may outlive
/// both. In the child of a fork it is that share of the child's pool.
template <class Pool>
class Share {
  using Core = typename Pool::Core;
  using StopToken = typename Core::StopToken;

 public:
  using Lease = typename Pool::Lease;

  /// As those of `Pool`, whose time-outs tell of the share.
  Lease acquire(std::source_location where = std::source_location::current()) {
    return acquire(options().acquire_timeout, {}, where);
  }
  Lease acquire(Duration timeout, std::source_location where = std::source_location::current()) {
    return acquire(timeout, {}, where);
  }
  Lease acquire(Duration timeout, const StopToken& stop, std::source_location where = std::source_location::current()) {
    Core& core = pool_->core();
    return {core, core.acquire(timeout, stop, where, account_in(core))};
  }
  Lease acquire(const StopToken& stop, std::source_location where = std::source_location::current()) {
    return acquire(options().acquire_timeout, stop, where);
  }
  /// An idle connection that is this share's in its turn, or none.
  std::optional<Lease> try_acquire(std::source_location where = std::source_location::current()) {
    return try_acquire(Duration::zero(), where);
  }
  std::optional<Lease> try_acquire(Duration limit, std::source_location where = std::source_location::current()) {
    Core& core = pool_->core();
    if (auto* const slot = core.try_acquire(limit, where, account_in(core))) return Lease{core, *slot};
    return std::nullopt;
  }

  /// As those of `Pool`.
  auto async_acquire(std::source_location where = std::source_location::current()) {
    return async_acquire(options().acquire_timeout, {}, InLine{}, where);
  }
  auto async_acquire(Duration timeout, std::source_location where = std::source_location::current()) {
    return async_acquire(timeout, {}, InLine{}, where);
  }
  auto async_acquire(Duration timeout, StopToken stop, std::source_location where = std::source_location::current()) {
    return async_acquire(timeout, std::move(stop), InLine{}, where);
  }
  auto async_acquire(StopToken stop, std::source_location where = std::source_location::current()) {
    return async_acquire(options().acquire_timeout, std::move(stop), InLine{}, where);
  }
  template <ExecutorType Executor>
  AsyncAcquire<Core, Lease, Executor> async_acquire(Duration timeout, StopToken stop, Executor executor,
                                                    std::source_location where = std::source_location::current()) {
    Core& core = pool_->core();
    return {core, timeout, std::move(stop), std::move(executor), where, &account_in(core)};
  }

  /// What its callers have and did. Takes the pool's lock.
  [[nodiscard]] ShareStatistics statistics() const {
    Core& core = pool_->core();
    return core.statistics(account_in(core));
  }
  /// The figures of the pool, as `Pool::statistics`.
  [[nodiscard]] Statistics pool_statistics() const { return pool_->statistics(); }
  /// What it was made with.
  [[nodiscard]] const std::string& name() const noexcept { return account_->name; }
  [[nodiscard]] const ShareOptions& share_options() const noexcept { return account_->options; }
  /// Those of the pool.
  [[nodiscard]] const PoolOptions& options() const noexcept { return pool_->options(); }

 private:
  friend Pool;
  using Account = typename Core::Share;

  Share(Pool& pool, const Core& core, Account& account) noexcept : pool_{&pool}, core_{&core}, account_{&account} {}

  // In the child of a fork the pool has another core, with a share of the same name.
  [[nodiscard]] Account& account_in(Core& core) const {
    return &core == core_ ? *account_ : core.administration().share(account_->name, account_->options);
  }

  Pool* pool_;
  const Core* core_;  // the one that the account is of
  Account* account_;
};

}  // namespace lido
