// The move-only handle of a leased connection.
#pragma once

#include <cassert>
#include <memory>
#include <type_traits>
#include <utility>

#include <lido/facts.hpp>

namespace lido {

namespace detail {

// What is reached through a lease that is a temporary, a base of `Connection` or that itself: specialise it for a
// connection some of whose members return what must not outlive the lease.
template <class Connection>
struct OnTemporaryLease {
  using type = Connection;
};

}  // namespace detail

/// A leased connection: gives it back when it is destroyed. Owned by one thread at a time, and may be moved to
/// another. May outlive its pool; then giving back closes the connection.
template <class Core, class Connection>
class [[nodiscard]] Lease {
 public:
  /// An empty lease.
  Lease() = default;
  /// For the pool.
  Lease(Core& core, typename Core::Slot& slot) noexcept : core_{&core}, slot_{&slot} {}
  Lease(Lease&& other) noexcept
      : core_{std::exchange(other.core_, nullptr)}, slot_{std::exchange(other.slot_, nullptr)} {}
  Lease& operator=(Lease&& other) noexcept {
    if (this != &other) {
      release();
      core_ = std::exchange(other.core_, nullptr);
      slot_ = std::exchange(other.slot_, nullptr);
    }
    return *this;
  }
  ~Lease() { release(); }

  /// The connection. The lease must not be empty.
  [[nodiscard]] Connection& operator*() const& noexcept { return slot().connection; }
  /// Would dangle: the connection goes back with the temporary. Keep the lease, or use `->`.
  Connection& operator*() const&& = delete;
  /// The connection. The lease must not be empty.
  [[nodiscard]] Connection* operator->() const& noexcept { return std::addressof(slot().connection); }
  /// The same of a temporary, whose connection goes back when the statement ends.
  [[nodiscard]] auto operator->() const&& noexcept -> typename detail::OnTemporaryLease<Connection>::type* {
    return std::addressof(slot().connection);
  }
  /// Whether there is a connection: false once it was released, discarded, detached or moved from.
  [[nodiscard]] explicit operator bool() const noexcept { return slot_ != nullptr; }

  /// Gives the connection back now; wakes a waiter. Blocks for as long as the recycle policy does, but not where it was
  /// acquired asynchronously and the pool has workers: then one of them asks a policy that may block. Harmless twice.
  void release() noexcept {
    if (slot_ != nullptr) std::exchange(core_, nullptr)->release(*std::exchange(slot_, nullptr));
  }
  /// Has the connection closed instead of reused, in the background where there are workers. Harmless twice.
  void discard() noexcept {
    if (slot_ != nullptr) std::exchange(core_, nullptr)->discard(*std::exchange(slot_, nullptr));
  }
  /// Takes the connection out of the pool, which may open another in its place at once. The lease must not be empty.
  /// For connections whose move cannot throw, since one that did would be lost.
  [[nodiscard]] Connection detach()
    requires std::is_nothrow_move_constructible_v<Connection>
  {
    static_cast<void>(slot());
    return std::exchange(core_, nullptr)->detach(*std::exchange(slot_, nullptr));
  }

  /// Facts of the connection. The lease must not be empty.
  [[nodiscard]] ConnectionInfo info() const noexcept { return core_->info_of(slot()); }

  /// Says that this lease is meant to be held for long, as by one that listens: it is no leak
  /// (`PoolOptions::leak_after`). The lease must not be empty.
  void expect_long_use() const noexcept { slot().expect_long(); }

 private:
  [[nodiscard]] typename Core::Slot& slot() const noexcept {
    assert(slot_ != nullptr && "lido: the lease is empty: it was released, discarded, detached or moved from");
    return *slot_;
  }

  Core* core_ = nullptr;
  typename Core::Slot* slot_ = nullptr;
};

}  // namespace lido
