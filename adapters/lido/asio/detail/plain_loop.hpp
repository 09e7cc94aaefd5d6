// The loop of an `io_context` by itself, which takes less than an executor of any kind does.
#pragma once

#include <concepts>
#include <optional>
#include <typeinfo>
#include <utility>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

namespace lido::asio::detail {

using PlainLoop = boost::asio::io_context::executor_type;

// Null where `executor` is more than that: a strand, one that counts as work, or of another kind of context.
template <class Executor>
[[nodiscard]] const PlainLoop* plain_loop(const Executor& executor) noexcept {
  if constexpr (std::same_as<Executor, PlainLoop>)
    return &executor;
  else if constexpr (requires { executor.template target<PlainLoop>(); })  // Boost 1.74 does not look which it is
    return executor.target_type() == typeid(PlainLoop) ? executor.template target<PlainLoop>() : nullptr;
  else
    return nullptr;
}

// Posts to a copy of `executor`, as what it is a part of may be gone before this returns.
template <class Executor, class Function>
void post_to(const Executor& executor, Function&& function) {
  if (const PlainLoop* const plain = plain_loop(executor)) {
    const PlainLoop loop = *plain;
    boost::asio::post(loop, std::forward<Function>(function));
  } else {
    const Executor copy = executor;  // NOLINT(performance-unnecessary-copy-initialization)
    boost::asio::post(copy, std::forward<Function>(function));
  }
}

// Keeps the loop of `executor` running while it lives.
template <class Executor>
class LoopWork {
 public:
  explicit LoopWork(const Executor& executor) {
    if (const PlainLoop* const plain = plain_loop(executor))
      plain_.emplace(*plain);
    else
      any_.emplace(executor);
  }

 private:
  std::optional<boost::asio::executor_work_guard<PlainLoop>> plain_;
  std::optional<boost::asio::executor_work_guard<Executor>> any_;
};

}  // namespace lido::asio::detail
