#include <lido/open_telemetry.hpp>

#include <algorithm>
#include <boost/test/unit_test.hpp>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <support/simulated_pool.hpp>

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

BOOST_AUTO_TEST_SUITE_END()
