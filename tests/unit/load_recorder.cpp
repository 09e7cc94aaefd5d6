// What is recorded of a pool's callers.
#include <lido/load_recorder.hpp>

#include <boost/test/unit_test.hpp>

#include <support/simulated_pool.hpp>

using namespace lido;
using namespace lido::test;

BOOST_AUTO_TEST_SUITE(load_recorder)

BOOST_AUTO_TEST_CASE(it_has_who_came_for_how_long_and_how_long_opening_took) {
  calmly([] {
    Ledger ledger;
    ledger.on_open = [](const OpenInfo&) { sim::sleep_for(3ms); };
    SimulatedPool<Elastic, AssumeHealthy, RetireAfter> pool{
        connector(ledger), Elastic{.max_size = 2}, {}, {}, {.name = "a \"pool\""}};
    LoadRecorder recorder{pool};
    for (int i = 0; i < 6; ++i) pool.acquire()->use(100us);
    recorder.sample(pool.statistics(), 2s);
    {
      const auto first = pool.acquire();
      const auto second = pool.acquire();
      BOOST_CHECK_THROW(static_cast<void>(pool.acquire(10ms)), AcquireTimeout);
      sim::sleep_for(40ms);
    }
    recorder.sample(pool.statistics(), 1s);
    BOOST_TEST(recorder.to_json() ==
               R"({"name":"a \"pool\"","lasts":3.000000,)"
               R"("arrivals":[{"lasts":2.000000,"per_second":3.000000},{"lasts":1.000000,"per_second":3.000000}],)"
               R"("hold":{"upper":[0.000100,0.000104,0.049152,0.051200,0.053248],"counts":[0,6,0,1,1]},)"
               R"("open":{"upper":[0.000016,0.000032,0.000064,0.000128,0.000256,0.000512,0.001024,0.002048,0.004096,)"
               R"(0.008192,0.016384,0.032768,0.065536,0.131072,0.262144,0.524288,1.048576,2.097152,4.194304,8.388608,)"
               R"(16.777216,33.554432,67.108864,134.217728,268.435456,536.870912,1073.741824,2147.483648],)"
               R"("counts":[0,0,0,0,0,0,0,0,2,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]}})");
  });
}

BOOST_AUTO_TEST_CASE(who_came_and_was_counted_nowhere_makes_no_number_below_zero) {
  calmly([] {
    Ledger ledger;
    SimulatedPool<FixedSize, AssumeHealthy, RetireAfter> pool{connector(ledger), FixedSize{.size = 1}};
    LoadRecorder recorder{pool};
    Statistics crowded = pool.statistics();
    crowded.now.waiting = 5;
    recorder.sample(crowded, 1s);
    recorder.sample(pool.statistics(), 1s);
    BOOST_TEST(recorder.to_json().find(R"("arrivals":[{"lasts":1.000000,"per_second":5.000000},)"
                                       R"({"lasts":1.000000,"per_second":0.000000}])") != std::string::npos);
    BOOST_CHECK_THROW(recorder.sample(pool.statistics(), 0s), InvalidOption);
  });
}

BOOST_AUTO_TEST_CASE(it_may_end_before_its_pool) {
  calmly([] {
    Ledger ledger;
    SimulatedPool<FixedSize, AssumeHealthy, RetireAfter> pool{connector(ledger), FixedSize{.size = 1}};
    {
      const LoadRecorder recorder{pool};
    }
    pool.acquire()->use(1ms);
    BOOST_TEST(pool.statistics().released == 1U);
  });
}

BOOST_AUTO_TEST_SUITE_END()
