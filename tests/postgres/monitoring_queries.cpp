// What operating.md tells operators to ask the server; it takes the text from here.
#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <lido/postgres/pool.hpp>
#include <lido/postgres/session.hpp>
#include <postgres/server.hpp>

using namespace lido;
using namespace lido::postgres;
using namespace lido::test;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(monitoring_queries)

namespace {

constexpr std::string_view active_connections = R"(
-- [active_connections]
-- Who works now, and at what.
select pid, application_name, usename, client_addr, now() - query_start as running,
       wait_event_type, left(query, 60) as query
from pg_stat_activity
where datname = current_database() and state = 'active' and pid <> pg_backend_pid()
order by query_start;
-- [/active_connections]
)";

constexpr std::string_view idle_by_state = R"(
-- [idle_by_state]
-- Who has connections and does nothing with them. `idle` is a pool's reserve; `idle in transaction` for long is a
-- holder who forgot to commit, and holds locks.
select application_name, state, count(*) as connections, max(now() - state_change) as longest
from pg_stat_activity
where datname = current_database() and state like 'idle%'
group by application_name, state
order by connections desc;
-- [/idle_by_state]
)";

constexpr std::string_view long_running = R"(
-- [long_running]
-- What has been going on for more than 30 seconds, the oldest first: queries and transactions.
select pid, application_name, state, now() - xact_start as in_transaction, now() - query_start as since_query,
       left(query, 60) as query
from pg_stat_activity
where datname = current_database() and state <> 'idle' and pid <> pg_backend_pid()
  and now() - coalesce(xact_start, query_start) > interval '30 seconds'
order by coalesce(xact_start, query_start);
-- [/long_running]
)";

constexpr std::string_view connection_budget = R"(
-- [connection_budget]
-- How many of the connections that the server allows each application has, and how many are left for all.
select coalesce(nullif(application_name, ''), usename, '?') as application_name, count(*) as connections,
       count(*) filter (where state = 'active') as active,
       current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int as allowed,
       current_setting('max_connections')::int - current_setting('superuser_reserved_connections')::int
         - sum(count(*)) over () as still_free
from pg_stat_activity
where backend_type = 'client backend'
group by 1
order by connections desc;
-- [/connection_budget]
)";

constexpr std::string_view lock_waits = R"(
-- [lock_waits]
-- Who waits for whom, the longest wait first. A blocker that is `idle in transaction` has forgotten to commit.
select waiting.pid, waiting.application_name, now() - waiting.query_start as since, left(waiting.query, 60) as query,
       blocker.pid as blocked_by, blocker.application_name as blocked_by_application, blocker.state as blocker_state,
       now() - blocker.xact_start as blocker_in_transaction, left(blocker.query, 60) as blocker_query
from pg_stat_activity waiting
cross join lateral unnest(pg_blocking_pids(waiting.pid)) as blocking(pid)
join pg_stat_activity blocker on blocker.pid = blocking.pid
where waiting.datname = current_database()
order by since desc;
-- [/lock_waits]
)";

constexpr std::string_view vacuum_held_back = R"(
-- [vacuum_held_back]
-- Who keeps autovacuum from removing dead rows: the oldest snapshots, by how many transactions ago they were taken.
select pid, application_name, state, age(backend_xmin) as transactions_ago, now() - xact_start as in_transaction,
       left(query, 60) as query
from pg_stat_activity
where backend_xmin is not null and pid <> pg_backend_pid()
order by transactions_ago desc;
-- [/vacuum_held_back]
)";

constexpr std::string_view autovacuum = R"(
-- [autovacuum]
-- Where autovacuum does not keep up: dead rows against live ones, and when it was there last.
select schemaname, relname, n_live_tup, n_dead_tup, last_autovacuum, last_autoanalyze
from pg_stat_user_tables
where n_dead_tup > 1000 and n_dead_tup > n_live_tup / 5
order by n_dead_tup desc;
-- [/autovacuum]
)";

// The rows of one application: the other tests' connections are there too.
std::optional<std::string> find(const Result& rows, std::string_view application, const std::string& column,
                                std::string_view where = {}, std::string_view is = {}) {
  for (const Row row : rows)
    if (row["application_name"].text() == application && (where.empty() || row[where].text() == is))
      return std::string{row[column].text()};
  return std::nullopt;
}

std::string replaced(std::string_view text, std::string_view from, std::string_view to) {
  std::string result{text};
  const std::size_t at = result.find(from);
  BOOST_REQUIRE(at != std::string::npos);
  return result.replace(at, from.size(), to);
}

}  // namespace

BOOST_AUTO_TEST_CASE(active_connections_shows_what_a_holder_waits_for) {
  lido::postgres::Pool pool{server().conninfo(), {.pool_size = 2, .max_overflow = 0, .application_name = "active"}};
  Connection operations = connect();
  Session lock{pool};
  lock.exec("select pg_advisory_xact_lock(4711)");
  std::jthread blocked{[&] { Session{pool}.exec("select pg_advisory_xact_lock(4711), 'find me'"); }};

  std::optional<std::string> query;
  const lido::TimePoint deadline = soon();
  while (!query && lido::Clock::now() < deadline)
    query = find(operations.exec_script(active_connections), "active", "query", "wait_event_type", "Lock");
  lock.commit();
  blocked.join();
  BOOST_REQUIRE(query);
  BOOST_TEST(query->find("find me") != std::string::npos);
  BOOST_TEST(!find(operations.exec_script(active_connections), "active", "query"));
}

BOOST_AUTO_TEST_CASE(idle_by_state_tells_a_reserve_from_a_forgotten_transaction) {
  lido::postgres::Pool pool{server().conninfo(), {.pool_size = 4, .max_overflow = 0, .application_name = "idle"}};
  Connection operations = connect();
  Session forgotten{pool};
  Session failed{pool};
  BOOST_CHECK_THROW(failed.exec("select 1/0"), QueryError);
  {
    const lido::postgres::Pool::Lease one = pool.acquire();
    const lido::postgres::Pool::Lease another = pool.acquire();
  }
  const Result rows = operations.exec_script(idle_by_state);
  BOOST_TEST(find(rows, "idle", "connections", "state", "idle").value_or("none") == "2");
  BOOST_TEST(find(rows, "idle", "connections", "state", "idle in transaction").value_or("none") == "1");
  BOOST_TEST(find(rows, "idle", "connections", "state", "idle in transaction (aborted)").value_or("none") == "1");
}

BOOST_AUTO_TEST_CASE(long_running_shows_a_transaction_beyond_its_limit_and_none_below) {
  lido::postgres::Pool pool{server().conninfo(), {.pool_size = 2, .max_overflow = 0, .application_name = "long"}};
  Connection operations = connect();
  Session open{pool};
  open.exec("select 'the culprit'");
  BOOST_TEST(!find(operations.exec_script(long_running), "long", "query"));
  const std::string at_once = replaced(long_running, "interval '30 seconds'", "interval '0'");
  const std::optional<std::string> query = find(operations.exec_script(at_once), "long", "query");
  BOOST_REQUIRE(query);
  BOOST_TEST(*query == "select 'the culprit'");
  open.commit();
  BOOST_TEST(!find(operations.exec_script(at_once), "long", "query"));
}

BOOST_AUTO_TEST_CASE(connection_budget_counts_what_an_application_has_and_what_is_left) {
  postgres::Pool pool{server().conninfo(), {.pool_size = 3, .max_overflow = 0, .application_name = "budget"}};
  Connection operations = connect();
  for (long connections = 1; connections <= 3; ++connections) {
    std::vector<postgres::Pool::Lease> leases;
    for (long i = 0; i < connections; ++i) leases.push_back(pool.acquire());
    const Result rows = operations.exec_script(connection_budget);
    BOOST_TEST(find(rows, "budget", "connections").value_or("none") == std::to_string(connections));
    BOOST_TEST(find(rows, "budget", "active").value_or("none") == "0");
    BOOST_TEST(find(rows, "budget", "allowed").value_or("none") == "197");
    // Sessions of other tests may still be about to end.
    const long left = std::stol(find(rows, "budget", "still_free").value_or("0"));
    BOOST_TEST(left <= 197 - connections - 1);
    BOOST_TEST(left > 100);
  }
}

BOOST_AUTO_TEST_CASE(lock_waits_names_the_waiter_and_the_one_in_its_way) {
  postgres::Pool blockers{server().conninfo(), {.pool_size = 1, .max_overflow = 0, .application_name = "blocker"}};
  postgres::Pool waiters{server().conninfo(), {.pool_size = 1, .max_overflow = 0, .application_name = "waiter"}};
  Connection operations = connect();
  Session lock{blockers};
  lock.exec("select pg_advisory_xact_lock(4712)");
  BOOST_TEST(!find(operations.exec_script(lock_waits), "waiter", "query"));
  std::jthread blocked{[&] { Session{waiters}.exec("select pg_advisory_xact_lock(4712)"); }};
  std::optional<std::string> state, blocker;
  for (const lido::TimePoint deadline = soon(); !blocker && lido::Clock::now() < deadline;) {
    const Result rows = operations.exec_script(lock_waits);
    blocker = find(rows, "waiter", "blocked_by_application");
    state = find(rows, "waiter", "blocker_state");
  }
  lock.commit();
  blocked.join();
  BOOST_TEST(blocker.value_or("nobody") == "blocker");
  BOOST_TEST(state.value_or("none") == "idle in transaction");
}

BOOST_AUTO_TEST_CASE(vacuum_held_back_shows_an_old_snapshot) {
  postgres::Pool pool{server().conninfo(), {.pool_size = 1, .max_overflow = 0, .application_name = "snapshot"}};
  Connection operations = connect();
  Session old{pool, {.isolation = Isolation::repeatable_read}};
  old.exec("select 'the snapshot'");
  server().ask("select txid_current()");
  const Result rows = operations.exec_script(vacuum_held_back);
  BOOST_TEST(std::stol(find(rows, "snapshot", "transactions_ago").value_or("0")) >= 1);
  BOOST_TEST(find(rows, "snapshot", "state").value_or("none") == "idle in transaction");
  old.commit();
  BOOST_TEST(!find(operations.exec_script(vacuum_held_back), "snapshot", "state"));
}

BOOST_AUTO_TEST_CASE(autovacuum_shows_a_table_full_of_dead_rows) {
  Connection operations = connect();
  operations.exec_script(
      "drop table if exists dead_rows; create table dead_rows(id int) with (autovacuum_enabled = off)");
  const auto shown = [&] {
    for (const Row row : operations.exec_script(autovacuum))
      if (row["relname"].text() == "dead_rows") return true;
    return false;
  };
  operations.exec("insert into dead_rows select generate_series(1, 3000)");
  BOOST_TEST(!shown());
  operations.exec("delete from dead_rows");
  // A session tells the statistics when it is idle, and not at once.
  PostgresServer::wait_until("the statistics are there", shown);
  operations.exec("drop table dead_rows");
}

BOOST_AUTO_TEST_SUITE_END()
