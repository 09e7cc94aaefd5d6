#include <lido/async_check_health.hpp>

#include <boost/test/unit_test.hpp>
#include <coroutine>
#include <exception>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

#include <support/simulated_pool.hpp>

using namespace lido;
using namespace lido::test;

BOOST_AUTO_TEST_SUITE(async_check_health_)

namespace {

// The smallest coroutine that gives a report. Begins when it is called.
class Report {
 public:
  struct promise_type {
    Report get_return_object() { return Report{std::coroutine_handle<promise_type>::from_promise(*this)}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_always final_suspend() noexcept { return {}; }
    void return_value(HealthReport report) { value = std::move(report); }
    void unhandled_exception() { failure = std::current_exception(); }
    std::optional<HealthReport> value;
    std::exception_ptr failure;
  };
  Report(const Report&) = delete;
  Report& operator=(const Report&) = delete;
  ~Report() { handle_.destroy(); }

  [[nodiscard]] bool done() const { return handle_.done(); }
  [[nodiscard]] const HealthReport& get() const {
    if (handle_.promise().failure) std::rethrow_exception(handle_.promise().failure);
    return handle_.promise().value.value();
  }

 private:
  explicit Report(std::coroutine_handle<promise_type> handle) : handle_{handle} {}
  std::coroutine_handle<promise_type> handle_;
};

// A ping of an event loop: it ends when somebody says so.
struct Loop {
  std::function<void(bool)> answer;  // of the ping under way
  TimePoint deadline{};

  struct Wait {
    Loop& loop;
    bool answered = false;
    bool await_ready() const noexcept { return false; }
    void await_suspend(std::coroutine_handle<> waiting) {
      loop.answer = [this, waiting](bool alive) {
        answered = alive;
        waiting.resume();
      };
    }
    bool await_resume() const noexcept { return answered; }
  };
  auto awaited() {
    return [this](Resource&, TimePoint until) {
      deadline = until;
      return Wait{*this};
    };
  }
  auto called() {
    return [this](Resource&, TimePoint until, std::function<void(bool)> answered) {
      deadline = until;
      answer = std::move(answered);
    };
  }
};

// Each check, as a coroutine and with callbacks: `begin(pool, loop)`, then `report()`, once there is one.
class Check {
 public:
  explicit Check(bool awaited) : awaited_{awaited} {}

  template <class Pool>
  void begin(Pool& pool, Duration timeout, Loop& loop) {
    if (awaited_)
      coroutine_.emplace(start(pool, timeout, loop));
    else
      async_check_health(pool, timeout, loop.called(), [this](HealthReport report) { called_ = std::move(report); });
  }
  [[nodiscard]] bool done() const { return awaited_ ? coroutine_->task.done() : called_.has_value(); }
  [[nodiscard]] const HealthReport& report() const { return awaited_ ? coroutine_->task.get() : called_.value(); }
  [[nodiscard]] std::string status() const { return std::string{to_string(report().status)}; }

 private:
  struct Held {
    template <class Make>
    explicit Held(Make make) : task{make()} {}
    Report task;
  };
  template <class Pool>
  static auto start(Pool& pool, Duration timeout, Loop& loop) {
    return [&pool, timeout, &loop] { return async_check_health<Report>(pool, timeout, loop.awaited()); };
  }

  bool awaited_;
  std::optional<Held> coroutine_;
  std::optional<HealthReport> called_;
};

template <class Body>
void in_both_forms(Body body) {
  for (const bool awaited : {true, false})
    calmly([&] {
      Check check{awaited};
      body(check);
    });
}

void wait_for(const std::function<bool()>& condition) {
  while (!condition()) sim::sleep_for(1ms);
}

}  // namespace

BOOST_AUTO_TEST_CASE(reports_what_an_awaited_ping_says) {
  in_both_forms([](Check& check) {
    Ledger ledger;
    Loop loop;
    SimulatedPool<> pool{connector(ledger), {.max_size = 1}, {}, {}, {.name = "orders"}};
    const TimePoint begun = sim::Platform::now();
    check.begin(pool, 1s, loop);
    wait_for([&] { return loop.answer != nullptr; });
    BOOST_TEST(!check.done());
    BOOST_TEST((loop.deadline == begun + 1s));
    sim::sleep_for(3ms);
    loop.answer(true);
    BOOST_TEST(check.status() == "healthy");
    BOOST_TEST(check.report().name == "orders");
    BOOST_TEST(check.report().checked_out_connections == 0U);
    BOOST_TEST((check.report().latency >= 3ms));
    BOOST_TEST(pool.statistics().discarded == 0U);
  });
}

BOOST_AUTO_TEST_CASE(discards_what_does_not_answer) {
  in_both_forms([](Check& check) {
    Ledger ledger;
    Loop loop;
    SimulatedPool<> pool{connector(ledger), {.max_size = 1}};
    check.begin(pool, 1s, loop);
    wait_for([&] { return loop.answer != nullptr; });
    loop.answer(false);
    BOOST_TEST(check.status() == "unhealthy");
    BOOST_TEST(check.report().error == "the connection did not answer, or not in time");
    BOOST_TEST(pool.statistics().discarded == 1U);
  });
}

BOOST_AUTO_TEST_CASE(a_ping_that_answers_in_its_call_lives_until_that_returns) {
  calmly([] {
    Ledger ledger;
    SimulatedPool<> pool{connector(ledger), {.max_size = 1}};
    std::string seen;
    std::optional<HealthReport> report;
    const auto ping = [words = std::string(40, 'x'), &seen](Resource& resource, TimePoint deadline, auto answered) {
      answered(resource.ping(deadline));
      seen = words;
    };
    async_check_health(pool, 1s, ping, [&](HealthReport result) { report = std::move(result); });
    wait_for([&] { return report.has_value(); });
    BOOST_TEST(seen == std::string(40, 'x'));
    BOOST_TEST(to_string(report->status) == "healthy");
  });
}

BOOST_AUTO_TEST_CASE(says_exhausted_at_its_deadline_and_leaves_what_comes_to_others) {
  in_both_forms([](Check& check) {
    Ledger ledger;
    Loop loop;
    SimulatedPool<> pool{connector(ledger), {.max_size = 1}};
    auto held = pool.acquire();
    const TimePoint begun = sim::Platform::now();
    check.begin(pool, 100ms, loop);
    wait_for([&] { return check.done(); });
    BOOST_TEST((sim::Platform::now() - begun <= 102ms));
    BOOST_TEST(check.status() == "exhausted");
    BOOST_TEST((loop.answer == nullptr));
    BOOST_TEST(pool.statistics().discarded == 0U);
  });
  in_both_forms([](Check& check) {
    Ledger ledger;
    Loop loop;
    SimulatedPool<> pool{connector(ledger), {.max_size = 1}};
    auto held = pool.acquire();
    check.begin(pool, 1h, loop);
    sim::Thread other{[&] { (void)pool.acquire(1h); }};
    wait_for([&] { return pool.statistics().now.waiting == 2; });
    held.release();
    other.join();
    wait_for([&] { return check.done(); });
    BOOST_TEST(check.status() == "exhausted");
    BOOST_TEST((loop.answer == nullptr));
  });
}

BOOST_AUTO_TEST_CASE(a_share_is_as_healthy_as_what_its_callers_get) {
  in_both_forms([](Check& check) {
    Ledger ledger;
    Loop loop;
    SimulatedPool<> pool{connector(ledger), {.max_size = 2}, {}, {}, {.name = "orders"}};
    auto web = pool.share("web", {.guaranteed = 1});
    const auto held = pool.acquire();
    sim::Thread other{[&] { BOOST_CHECK_THROW((void)pool.acquire(1s), AcquireTimeout); }};
    sim::sleep_for(1ms);
    check.begin(web, 100ms, loop);
    wait_for([&] { return loop.answer != nullptr || check.done(); });
    BOOST_REQUIRE((loop.answer != nullptr));
    loop.answer(true);
    BOOST_TEST(check.status() == "healthy");
    BOOST_TEST(check.report().name == "orders");
    BOOST_TEST(check.report().checked_out_connections == 1U);
    other.join();
  });
}

BOOST_AUTO_TEST_CASE(an_unreachable_server_is_not_exhausted) {
  in_both_forms([](Check& check) {
    Ledger ledger;
    Loop loop;
    ledger.on_open = [](const OpenInfo&) { throw std::runtime_error{"no route to host"}; };
    SimulatedPool<> pool{connector(ledger), {.max_size = 1}};
    check.begin(pool, 100ms, loop);
    wait_for([&] { return check.done(); });
    BOOST_TEST(check.status() == "unhealthy");
    BOOST_TEST(check.report().error.find("no route to host") != std::string::npos);
  });
}

BOOST_AUTO_TEST_CASE(a_pool_that_ends_meanwhile_ends_the_check) {
  in_both_forms([](Check& check) {
    Ledger ledger;
    Loop loop;
    {
      SimulatedPool<> pool{connector(ledger), {.max_size = 1}};
      auto held = pool.acquire();
      check.begin(pool, 1h, loop);
      pool.close();
      BOOST_TEST(check.done());
    }
    BOOST_TEST(check.status() == "unhealthy");
  });
}

BOOST_AUTO_TEST_CASE(a_ping_that_throws_is_reported) {
  calmly([] {
    Ledger ledger;
    SimulatedPool<> pool{connector(ledger), {.max_size = 1}};
    std::optional<HealthReport> report;
    const auto ping = [](Resource&, TimePoint, const auto&) { throw std::runtime_error{"out of step"}; };
    async_check_health(pool, 1s, ping, [&](HealthReport found) { report = std::move(found); });
    wait_for([&] { return report.has_value(); });
    BOOST_TEST(report->error == "out of step");
    BOOST_TEST(pool.statistics().discarded == 1U);
    BOOST_CHECK_THROW(async_check_health(pool, 0s, ping, [](const HealthReport&) {}), InvalidOption);
  });
}

BOOST_AUTO_TEST_SUITE_END()
