#include <lido/tracing.hpp>

#include <boost/test/unit_test.hpp>
#include <exception>
#include <memory>
#include <mutex>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include <support/forms.hpp>

using namespace lido;
using namespace lido::test;

BOOST_AUTO_TEST_SUITE(tracing)

namespace {

struct Traced {
  std::string pool{};
  int context = 0;  // which `begin` returned
  Duration took{};
  std::uint64_t connection = 0;
  std::string error{};
};

std::string words_of(const std::exception_ptr& error) {
  if (error == nullptr) return "";
  try {
    std::rethrow_exception(error);
  } catch (const std::exception& thrown) {
    return thrown.what();
  }
}

// What the tracers below were told.
struct Journal {
  int begun = 0;
  std::vector<Traced> acquires;
  std::vector<Traced> opens;
};

// Its contexts can only be moved.
struct AcquireTracer {
  std::unique_ptr<Traced> begin(const AcquireBegin& begin) const {
    return std::make_unique<Traced>(Traced{.pool = std::string{begin.pool}, .context = ++journal->begun});
  }
  void end(std::unique_ptr<Traced> traced, const AcquireEnd& end) const {
    traced->took = end.took;
    traced->connection = end.connection;
    traced->error = words_of(end.error);
    journal->acquires.push_back(*traced);
  }
  Journal* journal;
};
struct OpenTracer {
  Traced begin(const OpenBegin& begin) const {
    return {.pool = std::string{begin.pool}, .context = ++journal->begun, .connection = begin.connection};
  }
  void end(Traced traced, const OpenEnd& end) const {
    traced.took = end.took;
    traced.error = words_of(end.error);
    journal->opens.push_back(traced);
  }
  Journal* journal;
};

bool begins(const std::string& text, const std::string& with) { return text.starts_with(with); }

}  // namespace

BOOST_AUTO_TEST_CASE(an_acquire_is_told_from_its_begin_to_its_end_with_the_context_of_its_begin) {
  calmly([](Form form) {
    Journal journal;
    Ledger ledger;
    SimulatedPool<> pool{connector(ledger), {.max_size = 1}, {}, {}, {.name = "orders"}};
    pool.acquire().release();
    trace(pool, AcquireTracer{&journal});
    {
      auto held = acquire(form, pool, 1s);
      BOOST_REQUIRE(journal.acquires.size() == 1U);
      BOOST_TEST(journal.acquires[0].pool == "orders");
      BOOST_TEST(journal.acquires[0].context == 1);
      BOOST_TEST(journal.acquires[0].connection == 1U);
      BOOST_TEST((journal.acquires[0].took == 0ms));
      BOOST_TEST(journal.acquires[0].error == "");
      BOOST_CHECK_THROW((void)acquire(form, pool, 5ms), AcquireTimeout);
      BOOST_REQUIRE(journal.acquires.size() == 2U);
      BOOST_TEST((journal.acquires[1].took >= 5ms));
      BOOST_TEST(journal.acquires[1].connection == 0U);
      BOOST_TEST(begins(journal.acquires[1].error, "orders: acquire: no connection within 5 ms"));
      sim::Thread other{[&] { (void)acquire(form, pool, 1h); }};
      while (pool.statistics().now.waiting == 0) sim::sleep_for(1ms);
      sim::sleep_for(7ms);
      held.release();
      other.join();
    }
    BOOST_REQUIRE(journal.acquires.size() == 3U);
    BOOST_TEST(journal.acquires[2].context == 3);
    BOOST_TEST((journal.acquires[2].took >= 7ms));
    BOOST_TEST(journal.acquires[2].connection == 1U);
    BOOST_TEST(pool.statistics().acquired == 3U);
    BOOST_TEST(pool.statistics().listener_errors == 0U);
  });
}

BOOST_AUTO_TEST_CASE(an_acquire_that_is_stopped_refused_or_closed_has_its_end) {
  calmly([](Form form) {
    Journal journal;
    Ledger ledger;
    SimulatedPool<> pool{connector(ledger), {.max_size = 1}};
    trace(pool, AcquireTracer{&journal});
    const auto ended_with = [&](const std::string& words) {
      const bool is_it = !journal.acquires.empty() && begins(journal.acquires.back().error, words);
      journal.acquires.clear();
      return is_it;
    };
    BOOST_CHECK_THROW((void)acquire(form, pool, -1s), InvalidOption);
    BOOST_TEST(journal.acquires.size() == (form == Form::blocking ? 0U : 1U));  // it is no acquire
    sim::StopSource stop;
    stop.request_stop();
    BOOST_CHECK_THROW((void)acquire(form, pool, 1h, stop.get_token()), AcquireCancelled);
    BOOST_TEST(ended_with("pool: acquire: cancelled by its stop token"));
    pool.suspend();
    BOOST_CHECK_THROW((void)acquire(form, pool, 1ms), PoolSuspended);
    BOOST_TEST(ended_with("pool: acquire: the pool was suspended for 1 ms"));
    pool.resume();
    pool.close();
    BOOST_CHECK_THROW((void)acquire(form, pool, 1h), PoolClosed);
    BOOST_TEST(ended_with("pool: acquire: the pool is closed"));
    BOOST_TEST(journal.begun == 4 - (form == Form::blocking ? 1 : 0));
  });
}

BOOST_AUTO_TEST_CASE(a_pool_that_reads_the_clock_and_suspends_is_traced_too) {
  calmly([](Form form) {
    Journal journal;
    Ledger ledger;
    SimulatedPool<Elastic, PingOnAcquire> pool{connector(ledger), {.max_size = 1}};
    pool.suspend();
    trace(pool, AcquireTracer{&journal});
    pool.resume();
    acquire(form, pool, 1s).release();
    sim::sleep_for(2s);
    ledger.on_ping = [](TimePoint) {
      sim::sleep_for(3ms);
      return true;
    };
    acquire(form, pool, 1s).release();
    BOOST_REQUIRE(journal.acquires.size() == 2U);
    BOOST_TEST((journal.acquires[1].took >= 3ms));
    pool.suspend();
    pool.resume();
    acquire(form, pool, 1s).release();
    BOOST_TEST(journal.acquires.size() == 3U);
  });
}

BOOST_AUTO_TEST_CASE(a_try_that_finds_nothing_ends_without_an_error) {
  calmly([] {
    Journal journal;
    Ledger ledger;
    SimulatedPool<> pool{connector(ledger), {.max_size = 1}};
    trace(pool, AcquireTracer{&journal});
    auto held = pool.acquire();
    BOOST_TEST(!pool.try_acquire());
    held.release();
    BOOST_TEST(pool.try_acquire()->info().id == 1U);
    BOOST_REQUIRE(journal.acquires.size() == 3U);
    BOOST_TEST(journal.acquires[1].connection == 0U);
    BOOST_TEST(journal.acquires[1].error == "");
    BOOST_TEST(journal.acquires[2].connection == 1U);
  });
}

BOOST_AUTO_TEST_CASE(an_operation_that_is_destroyed_while_it_waits_has_its_end) {
  calmly([] {
    Journal journal;
    Ledger ledger;
    SimulatedPool<> pool{connector(ledger), {.max_size = 1}};
    trace(pool, AcquireTracer{&journal});
    const auto held = pool.acquire();
    {
      auto operation = pool.async_acquire(1h).connect([](const std::exception_ptr&, const auto&) {});
      operation.start();
    }
    BOOST_REQUIRE(journal.acquires.size() == 2U);
    BOOST_TEST(journal.acquires[1].error == "pool: acquire: given up, as its coroutine or operation was destroyed");
  });
}

BOOST_AUTO_TEST_CASE(an_open_is_told_from_its_begin_to_its_end) {
  calmly([] {
    Journal journal;
    Ledger ledger;
    SimulatedPool<> pool{connector(ledger), {.min_idle = 0, .max_size = 2}, {}, {}, {.name = "orders"}};
    trace(pool, OpenTracer{&journal});
    ledger.on_open = [&](const OpenInfo&) {
      sim::sleep_for(4ms);
      if (ledger.attempts == 1) throw std::runtime_error{"no route to host"};
    };
    auto held = pool.acquire(1h);
    BOOST_REQUIRE(journal.opens.size() == 2U);
    BOOST_TEST(journal.opens[0].error == "no route to host");
    BOOST_TEST((journal.opens[0].took == 4ms));
    BOOST_TEST(journal.opens[1].error == "");
    BOOST_TEST(journal.opens[1].pool == "orders");
    BOOST_TEST(journal.opens[1].connection == held.info().id);
    BOOST_TEST(journal.acquires.empty());
  });
}

BOOST_AUTO_TEST_CASE(a_tracer_that_throws_is_counted_and_changes_nothing) {
  struct Throws {
    bool at_begin;
    int begin(const AcquireBegin&) const { return at_begin ? throw std::runtime_error{"begin"} : 1; }
    void end(int, const AcquireEnd&) const { throw std::runtime_error{"end"}; }
    int begin(const OpenBegin&) const { return at_begin ? throw std::runtime_error{"begin"} : 1; }
    void end(int, const OpenEnd&) const { throw std::runtime_error{"end"}; }
  };
  calmly([](Form form) {
    Journal journal;
    Ledger ledger;
    SimulatedPool<> pool{connector(ledger), {.min_idle = 0, .max_size = 1}};
    trace(pool, Throws{true});
    trace(pool, AcquireTracer{&journal});
    trace(pool, Throws{false});
    {
      const auto held = acquire(form, pool, 1s);
      BOOST_TEST(held->number == 1U);
      BOOST_CHECK_THROW((void)acquire(form, pool, 1ms), AcquireTimeout);
    }
    BOOST_TEST(journal.acquires.size() == 2U);  // the others are told
    // Of two acquires and an open a begin and an end each; who threw in the begin has no end.
    BOOST_TEST(pool.statistics().listener_errors == 6U);
    BOOST_TEST(pool.statistics().open_failures == 0U);
  });
}

BOOST_AUTO_TEST_CASE(a_tracer_may_use_the_pool) {
  struct Looks {
    SimulatedPool<>* pool;
    std::size_t begin(const AcquireBegin&) const { return pool->statistics().now.leased; }
    void end(std::size_t before, const AcquireEnd&) const { BOOST_TEST(pool->statistics().now.leased == before + 1); }
  };
  calmly([](Form form) {
    Ledger ledger;
    SimulatedPool<> pool{connector(ledger), {.max_size = 2}};
    trace(pool, Looks{&pool});
    const auto held = acquire(form, pool, 1s);
    const auto another = acquire(form, pool, 1s);
  });
}

BOOST_AUTO_TEST_SUITE_END()
