// The smallest coroutine type that can be awaited, for loops that are not Asio's.
#pragma once

#include <coroutine>
#include <exception>
#include <optional>
#include <utility>

namespace lido::test {

/// Begins to run when it is called; destroying it destroys the coroutine wherever it waits.
template <class T>
class Awaitable {
 public:
  struct promise_type {
    Awaitable get_return_object() noexcept {
      return Awaitable{std::coroutine_handle<promise_type>::from_promise(*this)};
    }
    std::suspend_never initial_suspend() noexcept { return {}; }
    auto final_suspend() noexcept {
      struct Resume {
        bool await_ready() noexcept { return false; }
        std::coroutine_handle<> await_suspend(std::coroutine_handle<promise_type> ended) noexcept {
          const auto next = ended.promise().waiting;
          return next ? next : std::noop_coroutine();
        }
        void await_resume() noexcept {}
      };
      return Resume{};
    }
    void return_value(T result) { value = std::move(result); }
    void unhandled_exception() noexcept { failure = std::current_exception(); }

    std::coroutine_handle<> waiting;
    std::exception_ptr failure;
    std::optional<T> value;
  };

  Awaitable(Awaitable&& other) noexcept : handle_{std::exchange(other.handle_, nullptr)} {}
  Awaitable& operator=(Awaitable&&) = delete;
  ~Awaitable() {
    if (handle_) handle_.destroy();
  }

  [[nodiscard]] bool done() const noexcept { return handle_.done(); }
  [[nodiscard]] T get() const {
    if (handle_.promise().failure) std::rethrow_exception(handle_.promise().failure);
    return *handle_.promise().value;
  }

  [[nodiscard]] bool await_ready() const noexcept { return done(); }
  void await_suspend(std::coroutine_handle<> waiting) noexcept { handle_.promise().waiting = waiting; }
  T await_resume() const { return get(); }

 private:
  explicit Awaitable(std::coroutine_handle<promise_type> handle) noexcept : handle_{handle} {}
  std::coroutine_handle<promise_type> handle_;
};

}  // namespace lido::test
