// Completion tokens, and the one kind that wants its errors in another shape.
#pragma once

#include <exception>
#include <type_traits>
#include <utility>

#include <boost/asio/async_result.hpp>
#include <boost/system/error_code.hpp>

// Declared here, as its header wants Boost.Coroutine or Boost.Context.
namespace boost::asio {
template <typename>
class basic_yield_context;
}  // namespace boost::asio

namespace lido::asio::detail {

template <class Token>
inline constexpr bool is_yield_context = false;
template <class T>
inline constexpr bool is_yield_context<boost::asio::basic_yield_context<T>> = true;

// How an operation ended, as one value.
template <class T>
struct Outcome {
  std::exception_ptr error;
  T value{};
};
template <>
struct Outcome<void> {
  std::exception_ptr error;
};

template <class T>
struct SignatureOf {
  using type = void(std::exception_ptr, T);
};
template <>
struct SignatureOf<void> {
  using type = void(std::exception_ptr);
};

// Begins an operation whose completion signature is `void(std::exception_ptr, T)`. Stackful coroutines take no
// exception (Boost 1.74), or cannot (1.81 does not compile): they get it as a value, and it is thrown here.
template <class T, class Token, class Initiation>
auto initiate(Initiation initiation, Token&& token) {
  if constexpr (is_yield_context<std::remove_cvref_t<Token>>) {
    using InOne = void(boost::system::error_code, Outcome<T>);
    Outcome<T> outcome = boost::asio::async_initiate<Token, InOne>(std::move(initiation), token);
    if (outcome.error != nullptr) std::rethrow_exception(std::move(outcome.error));
    if constexpr (!std::is_void_v<T>) return std::move(outcome.value);
  } else {
    return boost::asio::async_initiate<Token, typename SignatureOf<T>::type>(std::move(initiation), token);
  }
}

template <class Handler, class... T>
void invoke_handler(Handler&& handler, std::exception_ptr&& error, T... value) {
  if constexpr (std::is_invocable_v<Handler, std::exception_ptr, T...>)
    std::forward<Handler>(handler)(std::move(error), std::move(value)...);
  else if constexpr (sizeof...(T) == 0)
    std::forward<Handler>(handler)(boost::system::error_code{}, Outcome<void>{std::move(error)});
  else
    std::forward<Handler>(handler)(boost::system::error_code{}, Outcome<T...>{std::move(error), std::move(value)...});
}

}  // namespace lido::asio::detail
