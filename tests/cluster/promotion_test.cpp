// A standby becomes the primary while sixteen threads write.
#include <chrono>
#include <cstdint>
#include <iostream>
#include <sstream>
#include <string>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <cluster/cluster.hpp>
#include <faults/starvation.hpp>
#include <lido/postgres/connection.hpp>
#include <lido/postgres/pool.hpp>

using namespace lido;
using namespace lido::test;

BOOST_AUTO_TEST_SUITE(promotion)

namespace {

postgres::Options options(const char* name) {
  return {.pool_size = 16,
          .max_overflow = 0,
          .pool_timeout = 2s,
          .connect_timeout = 1s,
          .statement_timeout = 1s,
          .name = name,
          .application_name = name};
}

// Each acknowledged row is there, and none twice.
void check_books(PostgresServer& primary, const Writers& writers) {
  auto connection = postgres::Connection::connect(primary.conninfo(), soon());
  std::ostringstream ids;
  for (const std::int64_t id : writers.ids()) ids << (ids.tellp() == 0 ? "{" : ",") << id;
  ids << '}';
  const auto lost = connection
                        .exec(
                            "select count(*) from unnest($1::bigint[]) acknowledged "
                            "where not exists (select from notes where id = acknowledged)",
                            ids.str())
                        .one<std::int64_t>();
  const auto doubled = connection.exec("select count(*) - count(distinct id) from notes").one<std::int64_t>();
  std::cout << "|   " << writers.ids().size() << " transactions acknowledged, " << lost << " lost, " << doubled
            << " doubled\n";
  BOOST_TEST(lost == 0);
  BOOST_TEST(doubled == 0);
  BOOST_TEST(writers.given_up() == 0);
}

void print_failures(const Writers& writers) {
  for (const auto& [kind, count] : writers.failures()) std::cout << "|   failed: " << count << " x " << kind << '\n';
  std::cout << "|   commits unknown: " << writers.unknown() << ", of these done: " << writers.unknown_but_done()
            << '\n';
}

// `leave` makes the first server one that takes no writes; then the second is promoted.
template <class Leave>
Statistics fail_over(const char* what, Cluster& cluster, Leave leave) {
  postgres::Pool pool{cluster.conninfo("read-write"), options("writers")};
  Writers writers{pool, 16};
  PostgresServer::wait_until("rows are written", [&] { return writers.count() > 500; });
  const TimePoint left = Clock::now();
  leave();
  const Control control;
  cluster.second.promote();
  const TimePoint promoted = Clock::now();
  writers.look_from(promoted);
  PostgresServer::wait_until("rows are written again", [&] { return writers.first() != TimePoint::max(); });
  const std::uint64_t before = writers.count();
  PostgresServer::wait_until("all write again", [&] { return writers.count() > before + 500; });
  writers.finish();
  std::cout << "| " << what << ": promoted after " << milliseconds(promoted - left)
            << ", the first success after the promotion took " << milliseconds(writers.first() - promoted) << '\n';
  print_failures(writers);
  check_books(cluster.second, writers);
  BOOST_TEST((writers.first() - promoted - control.worst() < 3s));  // 250 ms is the longest pause between two attempts
  BOOST_TEST(pool.statistics().now.total() <= 16U);
  const auto lease = pool.acquire();
  BOOST_TEST(std::string_view{PQhost(lease->native())} == cluster.second.host());
  return pool.statistics();
}

}  // namespace

BOOST_AUTO_TEST_CASE(writers_go_on_at_the_standby_when_the_primary_has_crashed) {
  Cluster cluster;
  const Statistics figures =
      fail_over("the primary is killed", cluster, [&] { cluster.first.stop(PostgresServer::Mode::immediate); });
  BOOST_TEST(figures.invalidated > 0U);
}

BOOST_AUTO_TEST_CASE(writers_go_on_at_the_standby_when_the_primary_hangs) {
  Cluster cluster;
  fail_over("the primary hangs", cluster, [&] { cluster.first.sigstop(); });
  cluster.first.sigcont();
}

BOOST_AUTO_TEST_CASE(writers_leave_a_primary_that_takes_no_writes_any_more) {
  Cluster cluster;
  const Statistics figures = fail_over("the primary is made read-only", cluster, [&] {
    cluster.first.ask("alter system set default_transaction_read_only = on");
    cluster.first.ask("select pg_reload_conf()");
    PostgresServer::wait_until("it takes no writes",
                               [&] { return cluster.first.ask("show default_transaction_read_only") == "on"; });
  });
  BOOST_TEST(figures.invalidated > 0U);
  BOOST_TEST(figures.found_dead == 0U);  // nothing but the refusal told it
}

BOOST_AUTO_TEST_CASE(writers_change_over_when_primary_and_standby_change_places) {
  Cluster cluster;
  fail_over("the two change places", cluster, [&] { cluster.first.stop(); });
  cluster.first.follow(cluster.second, "first");
  postgres::Pool readers{cluster.conninfo("standby"), options("readers")};
  const auto reader = readers.acquire();
  BOOST_TEST(std::string_view{PQhost(reader->native())} == cluster.first.host());
}

BOOST_AUTO_TEST_SUITE_END()
