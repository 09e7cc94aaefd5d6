// The three ways to acquire, behind one function: what is true of one has to be true of all.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <source_location>
#include <utility>

#include <boost/test/unit_test.hpp>
#include <support/simulated_pool.hpp>
#include <support/task.hpp>

namespace lido::test {

enum class Form : unsigned char { blocking, callback, coroutine };

inline void in_each_form(const std::function<void(Form)>& body) {
  constexpr std::array names{"blocking", "callback", "coroutine"};
  for (const Form form : {Form::blocking, Form::callback, Form::coroutine})
    BOOST_TEST_CONTEXT("form: " << names.at(static_cast<std::size_t>(form))) { body(form); }
}
inline void calmly(const std::function<void(Form)>& body) {
  in_each_form([&](Form form) { calmly([&] { body(form); }); });
}
inline void on_many_schedules(const std::function<void(Form)>& body) {
  in_each_form([&](Form form) { on_many_schedules([&] { body(form); }); });
}
// The calm schedule and the wild ones of so many seeds, but ten times what LIDO_SCHEDULES says at most.
inline void on_seeds(std::uint64_t last, const std::function<void(Form, std::uint64_t)>& body) {
  last = std::min(last, 10 * number_from_environment("LIDO_SCHEDULES", last));
  in_each_form([&](Form form) {
    for (std::uint64_t seed = 0; seed <= last; ++seed) sim::Simulation{seed}.run([&] { body(form, seed); });
  });
}

// What an asynchronous acquire came to, and the thread that waits for it.
template <class Lease>
struct Outcome {
  void complete(std::exception_ptr failure, Lease granted) {
    error = std::move(failure);
    lease = std::move(granted);
    parker.unpark();
  }
  // In a pool without workers somebody has to do the work meanwhile.
  template <class AnyPool>
  Lease get(AnyPool& pool, TimePoint deadline) {
    if constexpr (requires { pool.maintain(); }) {  // not where it is a share of one
      if (pool.options().workers == 0U)
        while (!parker.park_until(std::min(deadline, sim::Platform::now() + 1ms))) pool.maintain();
      else
        parker.park();
    } else {
      static_cast<void>(deadline);
      parker.park();
    }
    if (error) std::rethrow_exception(error);
    return std::move(lease);
  }

  sim::Parker parker;
  std::exception_ptr error;
  Lease lease;
};

template <class AnyPool, class Lease>
Detached acquire_into(Outcome<Lease>& outcome, AnyPool& pool, Duration timeout, sim::StopToken stop,
                      std::source_location where) {
  try {
    auto lease = co_await pool.async_acquire(timeout, std::move(stop), where);
    outcome.complete(nullptr, std::move(lease));
  } catch (...) {
    outcome.complete(std::current_exception(), {});
  }
}

// Acquires in this form and waits for the result in this thread.
template <class AnyPool>
typename AnyPool::Lease acquire(Form form, AnyPool& pool, Duration timeout, const sim::StopToken& stop = {},
                                std::source_location where = std::source_location::current()) {
  if (form == Form::blocking) return pool.acquire(timeout, stop, where);
  using Lease = typename AnyPool::Lease;
  const TimePoint deadline = saturating_add(sim::Platform::now(), timeout);
  Outcome<Lease> outcome;
  if (form == Form::coroutine) {
    acquire_into(outcome, pool, timeout, stop, where);
    return outcome.get(pool, deadline);
  }
  auto operation = pool.async_acquire(timeout, stop, where).connect([&outcome](std::exception_ptr error, Lease lease) {
    outcome.complete(std::move(error), std::move(lease));
  });
  operation.start();
  return outcome.get(pool, deadline);
}
template <class AnyPool>
typename AnyPool::Lease acquire(Form form, AnyPool& pool,
                                std::source_location where = std::source_location::current()) {
  return acquire(form, pool, pool.options().acquire_timeout, {}, where);
}

}  // namespace lido::test
