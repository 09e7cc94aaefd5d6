// Asio's cancellation of one operation, where this Boost has it (since 1.77).
#pragma once

#include <utility>

#include <boost/asio/execution_context.hpp>

#if __has_include(<boost/asio/associated_cancellation_slot.hpp>)
#  include <boost/asio/associated_cancellation_slot.hpp>
#  include <boost/asio/cancellation_type.hpp>
#endif

namespace lido::asio::detail {

#if __has_include(<boost/asio/associated_cancellation_slot.hpp>)

// Has `action` called, at most once, when the operation that ends in `handler` is cancelled, in whichever of the three
// ways: to give up a wait or a statement has no side effect that another way would leave out. False: nobody can cancel.
// Holds until `forget_cancel`; both for the thread that would cancel.
template <class Handler, class Action>
bool on_cancel(const Handler& handler, Action action) {
  auto slot = boost::asio::get_associated_cancellation_slot(handler);
  if (!slot.is_connected()) return false;
  slot.assign([action = std::move(action)](boost::asio::cancellation_type kind) mutable {
    if (kind != boost::asio::cancellation_type::none) action();
  });
  return true;
}
template <class Handler>
bool can_cancel(const Handler& handler) {
  return boost::asio::get_associated_cancellation_slot(handler).is_connected();
}
template <class Handler>
void forget_cancel(const Handler& handler) {
  auto slot = boost::asio::get_associated_cancellation_slot(handler);
  if (slot.is_connected()) slot.clear();
}

#else

template <class Handler, class Action>
bool on_cancel(const Handler&, const Action&) {
  return false;
}
template <class Handler>
bool can_cancel(const Handler&) {
  return false;
}
template <class Handler>
void forget_cancel(const Handler&) {}

#endif

}  // namespace lido::asio::detail
