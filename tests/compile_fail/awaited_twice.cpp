// What async_acquire returns is used up by awaiting it: a named one could be awaited again.
// expect: (as .this. argument discards qualifiers|no member named .await_ready.)
// expect: AsyncAcquire
// matching function).* expect: co_await
#include <coroutine>
#include <utility>

#include <lido/pool.hpp>

struct Job {
  struct promise_type {
    Job get_return_object() { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() {}
    void unhandled_exception() {}
  };
};

Job use(lido::Pool<int, lido::FixedSize, lido::AssumeHealthy, lido::KeepAlways>& pool) {
  auto asked = pool.async_acquire();
#ifdef LIDO_WRONG
  auto lease = co_await asked;
#else
  auto lease = co_await std::move(asked);
#endif
}
