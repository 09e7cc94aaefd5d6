#include <lido/open_telemetry.hpp>

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <support/simulated_pool.hpp>
#include <support/sums.hpp>

using namespace lido;
using namespace lido::test;

BOOST_AUTO_TEST_SUITE(open_telemetry_)

namespace {

const Measurement& find(const std::vector<Measurement>& all, std::string_view name, std::string_view state = {}) {
  const auto found = std::ranges::find_if(all, [&](const Measurement& one) {
    return one.name == name && (state.empty() || (one.attributes.size() == 2 &&
                                                  one.attributes.back().first == "db.client.connection.state" &&
                                                  one.attributes.back().second == state));
  });
  BOOST_REQUIRE((found != all.end()));
  return *found;
}

}  // namespace

// The tables of the conventions: name, instrument, unit, and the attributes that are required.
BOOST_AUTO_TEST_CASE(has_the_names_units_and_attributes_that_are_published) {
  struct Row {
    const char* name;
    Instrument instrument;
    const char* unit;
    bool state = false;
  };
  const Row rows[] = {
      {"db.client.connection.count", Instrument::up_down_counter, "{connection}", true},
      {"db.client.connection.count", Instrument::up_down_counter, "{connection}", true},
      {"db.client.connection.idle.max", Instrument::up_down_counter, "{connection}"},
      {"db.client.connection.idle.min", Instrument::up_down_counter, "{connection}"},
      {"db.client.connection.max", Instrument::up_down_counter, "{connection}"},
      {"db.client.connection.pending_requests", Instrument::up_down_counter, "{request}"},
      {"db.client.connection.timeouts", Instrument::counter, "{timeout}"},
      {"db.client.connection.create_time", Instrument::histogram, "s"},
      {"db.client.connection.wait_time", Instrument::histogram, "s"},
      {"db.client.connection.use_time", Instrument::histogram, "s"},
  };
  Statistics figures;
  figures.name = "orders";
  const std::vector<Measurement> all = open_telemetry(figures);
  BOOST_REQUIRE(all.size() == std::size(rows));
  for (std::size_t at = 0; at < all.size(); ++at) {
    BOOST_TEST_CONTEXT(rows[at].name) {
      BOOST_TEST(all[at].name == rows[at].name);
      BOOST_TEST((all[at].instrument == rows[at].instrument));
      BOOST_TEST(all[at].unit == rows[at].unit);
      BOOST_TEST(!all[at].description.empty());
      BOOST_REQUIRE(all[at].attributes.size() == (rows[at].state ? 2U : 1U));
      BOOST_TEST(all[at].attributes[0].first == "db.client.connection.pool.name");
      BOOST_TEST(all[at].attributes[0].second == "orders");
    }
  }
}

BOOST_AUTO_TEST_CASE(counts_the_wait_of_every_acquire) {
  calmly([] {
    Ledger ledger;
    SimulatedPool<Elastic, PingIfIdle> pool{connector(ledger), {.max_size = 2}};
    pool.acquire().release();  // queued until it was opened
    for (int times = 0; times < 3; ++times) pool.acquire().release();
    const auto held = pool.acquire();
    const auto all = open_telemetry(pool.statistics());
    BOOST_TEST(find(all, "db.client.connection.wait_time").histogram.count() == 5U);
    BOOST_TEST(find(all, "db.client.connection.use_time").histogram.count() == 4U);
    BOOST_TEST(find(all, "db.client.connection.create_time").histogram.count() == 1U);
    BOOST_TEST(find(all, "db.client.connection.count", "used").value == 1U);
    BOOST_TEST(find(all, "db.client.connection.count", "idle").value == 0U);
    BOOST_TEST(find(all, "db.client.connection.max").value == 2U);
    BOOST_TEST(find(all, "db.client.connection.pending_requests").value == 0U);
  });
}

// An exporter takes one that falls for a counter that began anew, and adds the whole of it.
BOOST_AUTO_TEST_CASE(no_bucket_of_the_waits_ever_falls) {
  on_many_schedules([] {
    Ledger ledger;
    SimulatedPool<FixedSize> pool{connector(ledger), {1}, {}, {}, {.workers = 1}};
    bool over = false;
    Threads threads;
    for (int i = 0; i < 3; ++i)  // one has it, and two are in the queue
      threads.start([&] {
        while (!over) pool.acquire()->use();
      });
    const auto waits = [&](const Statistics& figures) {
      std::vector<std::uint64_t> cumulative;
      std::uint64_t sum = 0;
      const auto all = open_telemetry(figures);
      for (const std::uint64_t one : find(all, "db.client.connection.wait_time").histogram.counts)
        cumulative.push_back(sum += one);
      return cumulative;
    };
    Statistics figures = pool.statistics();
    std::vector<std::uint64_t> before = waits(figures);
    std::string fell;
    for (int looks = 0; looks < 100 && fell.empty(); ++looks) {
      sim::yield();
      const Statistics later = pool.statistics();
      const std::vector<std::uint64_t> after = waits(later);
      fell = fallen(figures, later);
      for (std::size_t i = 0; i < after.size(); ++i)
        if (after[i] < before[i]) fell = "bucket " + std::to_string(i) + " fell";
      figures = later;
      before = after;
    }
    over = true;
    threads.join();
    BOOST_TEST(fell == "");
    const Statistics rest = pool.statistics();
    // Three threads at most were between the begin of a lease and the record of its wait.
    BOOST_TEST((rest.at_once + rest.wait.count() >= rest.acquired));
    BOOST_TEST((rest.at_once + rest.wait.count() <= rest.acquired + 3));
  });
}

BOOST_AUTO_TEST_SUITE_END()
