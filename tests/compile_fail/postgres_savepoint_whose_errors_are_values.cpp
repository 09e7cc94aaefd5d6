// As with Asio's `as_tuple`: what SAVEPOINT and RELEASE have failed by would be dropped.
// expect: lido: a savepoint would not notice that a statement has failed: the session needs a completion token that
// throws
#include <coroutine>
#include <exception>

#include <lido/postgres/async/session.hpp>
#include <lido/postgres/pool.hpp>

#ifdef LIDO_WRONG
using Given = std::exception_ptr;
#else
using Given = void;
#endif

struct Ended {
  static bool await_ready() { return true; }
  static void await_suspend(std::coroutine_handle<>) {}
  static Given await_resume() { return Given(); }
};
struct Runner {
  template <class Make>
  Ended run(const lido::postgres::Until&, Make) const {
    return {};
  }
};
struct Coroutine {
  struct promise_type {
    static Coroutine get_return_object() { return {}; }
    static std::suspend_never initial_suspend() noexcept { return {}; }
    static std::suspend_never final_suspend() noexcept { return {}; }
    static void return_void() {}
    static void unhandled_exception() {}
  };
  static bool await_ready() { return true; }
  static void await_suspend(std::coroutine_handle<>) {}
  static void await_resume() {}
};
using Session = lido::postgres::AsyncSession<lido::postgres::Pool::Lease, Runner>;

Coroutine change(Session& session) {
  co_await session.savepoint([](Session&) -> Coroutine { co_return; });
}
