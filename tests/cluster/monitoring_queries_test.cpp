// What operating.md tells operators to ask a primary about its standbys; it takes the text from here.
#include <string>
#include <string_view>

#include <boost/test/unit_test.hpp>

#include <cluster/cluster.hpp>
#include <lido/postgres/connection.hpp>

using namespace lido::test;

BOOST_AUTO_TEST_SUITE(monitoring_queries)

namespace {

constexpr std::string_view replication_lag = R"(
-- [replication_lag]
-- How far each standby is behind, asked of the primary: bytes that it has not replayed, and the age of what it has.
select application_name, state, sync_state, pg_wal_lsn_diff(pg_current_wal_lsn(), replay_lsn) as bytes_behind,
       replay_lag, now() - reply_time as last_heard
from pg_stat_replication
order by bytes_behind desc;
-- [/replication_lag]
)";

}  // namespace

BOOST_AUTO_TEST_CASE(replication_lag_grows_while_a_standby_replays_nothing) {
  Cluster cluster;
  auto operations = lido::postgres::Connection::connect(cluster.first.conninfo(), soon());
  const auto behind = [&] {
    const auto rows = operations.exec_script(replication_lag);
    BOOST_REQUIRE(rows.size() == 1U);
    BOOST_TEST(rows[0]["application_name"].text() == "second");
    return std::stol(std::string{rows[0]["bytes_behind"].text()});
  };
  PostgresServer::wait_until("all is replayed", [&] { return behind() == 0; });
  cluster.second.ask("select pg_wal_replay_pause()");
  operations.exec("insert into notes select generate_series(1, 1000), 0");
  BOOST_TEST(behind() > 10'000);
  cluster.second.ask("select pg_wal_replay_resume()");
  PostgresServer::wait_until("all is replayed", [&] { return behind() == 0; });
}

BOOST_AUTO_TEST_SUITE_END()
