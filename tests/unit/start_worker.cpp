// Workers that are no threads of the pool: whoever makes it runs them.
#include <cstddef>
#include <stdexcept>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>
#include <support/forms.hpp>

using namespace lido;
using namespace lido::test;

BOOST_AUTO_TEST_SUITE(start_worker)

namespace {

struct Place final : WorkerParker {
  bool wait_until(TimePoint deadline) noexcept override { return parker.park_until(deadline); }
  void wake() noexcept override { parker.unpark(); }
  sim::Parker parker;
};

// Runs workers in threads of its own, as an event loop would in fibres.
class Loop {
 public:
  StartWorker start() {
    return [this](Worker worker) {
      if (started_ == most) throw std::runtime_error{"no more workers"};
      ++started_;
      threads_.start([worker = std::move(worker)] {
        Place place;
        worker(place);
      });
    };
  }
  void join() { threads_.join(); }
  [[nodiscard]] std::size_t started() const { return started_; }

  std::size_t most = 100;

 private:
  std::size_t started_ = 0;
  Threads threads_;
};

}  // namespace

BOOST_AUTO_TEST_CASE(they_open_check_reset_and_close) {
  on_many_schedules([](Form form) {
    Ledger ledger;
    Loop loop;
    {
      SimulatedPool<Elastic, PingIfIdle, ResetOnReturn> pool{connector(ledger),
                                                             Elastic{.min_idle = 0, .max_size = 3},
                                                             PingIfIdle{.after = 0s},
                                                             {},
                                                             {.start_worker = loop.start()}};
      Threads threads;
      for (int i = 0; i < 6; ++i) threads.start([&] { acquire(form, pool, 1min)->use(); });
      threads.join();
      BOOST_TEST(ledger.opened >= 1U);
      BOOST_TEST(ledger.peak <= 3U);
      until([&] { return ledger.resets == 6; });
      pool.invalidate();
      acquire(form, pool, 1min)->use();
    }
    loop.join();
    BOOST_TEST(ledger.live == 0U);
    BOOST_TEST(loop.started() == (form == Form::blocking ? 5U : 6U));  // and who keeps time
  });
}

BOOST_AUTO_TEST_CASE(the_pool_waits_for_none_of_them_at_its_end) {
  calmly([] {
    Ledger ledger;
    ledger.on_open = [](const OpenInfo& info) {
      sim::self->world->block(info.deadline);
      throw std::runtime_error{"no answer"};
    };
    Loop loop;
    const TimePoint begun = sim::Platform::now();
    {
      SimulatedPool<> pool{connector(ledger), Elastic{.min_idle = 1}, {}, {}, {.start_worker = loop.start()}};
      sim::sleep_for(1s);
      BOOST_TEST(pool.statistics().now.opening == 1U);
    }
    BOOST_TEST((sim::Platform::now() - begun == 1s));
    loop.join();
    BOOST_TEST(ledger.live == 0U);
  });
}

BOOST_AUTO_TEST_CASE(who_waits_for_the_pool_does_what_the_workers_have_not_begun) {
  calmly([] {
    Ledger ledger;
    std::vector<Worker> later;
    {
      const auto start = [&](Worker worker) { later.push_back(std::move(worker)); };
      SimulatedPool<FixedSize> pool{connector(ledger), FixedSize{.size = 2}, {}, {}, {.start_worker = start}};
      pool.wait_until_ready(1s);
      BOOST_TEST(pool.statistics().now.idle == 2U);
      BOOST_TEST(pool.close(1s).complete);
    }
    BOOST_TEST(ledger.live == 0U);
    for (const Worker& worker : later) {  // they find that it is over
      Place place;
      worker(place);
    }
  });
}

BOOST_AUTO_TEST_CASE(one_that_cannot_be_started_costs_the_pool_and_nothing_else) {
  on_many_schedules([] {
    Ledger ledger;
    Loop loop;
    loop.most = 2;
    BOOST_CHECK_THROW(
        (SimulatedPool<FixedSize>{connector(ledger), FixedSize{.size = 2}, {}, {}, {.start_worker = loop.start()}}),
        std::runtime_error);
    loop.join();
    BOOST_TEST(ledger.live == 0U);
  });
}

BOOST_AUTO_TEST_SUITE_END()
