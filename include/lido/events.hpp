// What a pool tells of itself as it happens.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <functional>
#include <utility>

#include <lido/error.hpp>
#include <lido/facts.hpp>
#include <lido/trace_facts.hpp>

namespace lido {

namespace detail {

// The listeners of one event, in the order in which they were added. Adding and calling may go on at once; a list only
// grows, so that calling needs no lock and an event without listeners costs one load.
template <class... Args>
class Signal {
 public:
  using Listener = std::function<void(Args...)>;

  Signal() = default;
  // With the same listeners.
  Signal(const Signal& other) {
    for (const Node* node = other.first_.load(std::memory_order_acquire); node != nullptr;
         node = node->next.load(std::memory_order_acquire))
      add(node->listener);
  }
  Signal& operator=(const Signal&) = delete;
  ~Signal() {
    for (Node* node = first_.load(std::memory_order_relaxed); node != nullptr;)
      delete std::exchange(node, node->next.load(std::memory_order_relaxed));
  }

  void add(Listener listener) {
    Node* const added = new Node{std::move(listener)};
    std::atomic<Node*>* link = &first_;
    // Release: whoever follows the link sees the listener. A failed exchange gives the node that came first.
    for (Node* seen = nullptr;
         !link->compare_exchange_weak(seen, added, std::memory_order_release, std::memory_order_acquire);
         seen = nullptr)
      if (seen != nullptr) link = &seen->next;
  }

  [[nodiscard]] bool empty() const noexcept { return first_.load(std::memory_order_relaxed) == nullptr; }

  // Calls each listener; one that throws does not stop the others. The first exception, or null.
  template <class... Given>
  std::exception_ptr emit(Given&&... args) const noexcept {
    std::exception_ptr first;
    for (Node* node = first_.load(std::memory_order_acquire); node != nullptr;
         node = node->next.load(std::memory_order_acquire)) {
      try {
        node->listener(args...);
      } catch (...) {
        if (!first) first = std::current_exception();
      }
    }
    return first;
  }

 private:
  struct Node {
    explicit Node(Listener function) : listener{std::move(function)} {}
    Listener listener;
    std::atomic<Node*> next{nullptr};
  };
  std::atomic<Node*> first_{nullptr};
};

template <class Connection>
struct Signals {
  Signal<Connection&, const ConnectionInfo&> connect, acquire, release, close;
  Signal<const AcquireTimeout&> timeout;
  Signal<std::exception_ptr> open_failed, refused;
  Signal<const LeakReport&> leak;
  Signal<Spans<AcquireEnd>&, const AcquireBegin&> trace_acquire;
  Signal<Spans<OpenEnd>&, const OpenBegin&> trace_open;
};

}  // namespace detail

/// Where listeners are added: `pool.events().on_connect(...)`. Listeners are called in the order in which they were
/// added, by the thread in which the event happens and with no lock held, and may use the pool. Once the pool's
/// destructor has returned none is called any more, whatever leases outlive it: it waits for those that are called just
/// then in other threads, as long as for its workers. Thread-safe. A listener that throws is counted
/// (`Statistics::listener_errors`) and does not stop the others.
template <class Connection>
class Events {
 public:
  /// For the pool.
  explicit Events(detail::Signals<Connection>& signals) noexcept : signals_{&signals} {}

  using OnConnection = std::function<void(Connection&, const ConnectionInfo&)>;

  /// A connection was opened and nobody has it yet: the place to set up what no reset undoes. A throw makes it a failed
  /// open.
  Events& on_connect(OnConnection listener) { return add(signals_->connect, std::move(listener)); }
  /// A connection is about to be handed to its holder. In the holder's thread; for `async_acquire` in the one that
  /// finds the connection.
  Events& on_acquire(OnConnection listener) { return add(signals_->acquire, std::move(listener)); }
  /// A holder gave a connection back; it has been put in order and is still exclusively the listener's. In the
  /// holder's thread, or the worker's that put it in order in its place.
  Events& on_release(OnConnection listener) { return add(signals_->release, std::move(listener)); }
  /// A connection is about to be closed.
  Events& on_close(OnConnection listener) { return add(signals_->close, std::move(listener)); }
  /// An acquire ran out of time, or was refused (`Overloaded`).
  Events& on_timeout(std::function<void(const AcquireTimeout&)> listener) {
    return add(signals_->timeout, std::move(listener));
  }
  /// An acquire was refused, with what it throws: `QueueFull`, `SelfDeadlock`, `PoolSuspended`, or what the connector
  /// threw where the server is away (`PoolOptions::fail_fast_after`) or its failure is permanent. In the caller's
  /// thread; for `async_acquire` in the one that takes the result.
  Events& on_refused(std::function<void(std::exception_ptr)> listener) {
    return add(signals_->refused, std::move(listener));
  }
  /// An attempt to open failed, for this reason.
  Events& on_open_failed(std::function<void(std::exception_ptr)> listener) {
    return add(signals_->open_failed, std::move(listener));
  }
  /// A lease is held for longer than `PoolOptions::leak_after`; and once more when that one has come back after all. In
  /// two threads, so that the second may overtake the first where both happen at once.
  Events& on_leak(std::function<void(const LeakReport&)> listener) { return add(signals_->leak, std::move(listener)); }

 private:
  template <class Signal, class Listener>
  Events& add(Signal& signal, Listener listener) {
    signal.add(std::move(listener));
    return *this;
  }

  detail::Signals<Connection>* signals_;
};

}  // namespace lido
