// The state of an operation, in memory of its handler's associated allocator; where it has none in particular, in what
// another operation has left.
#pragma once

#include <memory>
#include <utility>

#include <boost/asio/associated_allocator.hpp>
#include <lido/detail/spare_blocks.hpp>

namespace lido::asio::detail {

template <class Handler>
[[nodiscard]] auto memory_of(const Handler& handler) noexcept {
  return lido::detail::recycling(boost::asio::get_associated_allocator(handler));
}

template <class State>
struct Dispose {
  void operator()(State* state) const noexcept {
    using Allocator = typename std::allocator_traits<decltype(state->memory())>::template rebind_alloc<State>;
    Allocator allocator{state->memory()};
    std::allocator_traits<Allocator>::destroy(allocator, state);
    std::allocator_traits<Allocator>::deallocate(allocator, state, 1);
  }
};

template <class State>
using Owned = std::unique_ptr<State, Dispose<State>>;

template <class State, class Handler, class... Arguments>
[[nodiscard]] Owned<State> make_owned(Handler handler, Arguments&&... arguments) {
  using Allocator = typename std::allocator_traits<decltype(memory_of(handler))>::template rebind_alloc<State>;
  Allocator allocator{memory_of(handler)};
  State* const memory = std::allocator_traits<Allocator>::allocate(allocator, 1);
  try {
    std::allocator_traits<Allocator>::construct(allocator, memory, std::move(handler),
                                                std::forward<Arguments>(arguments)...);
  } catch (...) {
    std::allocator_traits<Allocator>::deallocate(allocator, memory, 1);
    throw;
  }
  return Owned<State>{memory};
}

}  // namespace lido::asio::detail
