// What the README tells operators to ask the server; it takes the text from here.
#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <thread>

#include <boost/test/unit_test.hpp>

#include <lido/postgres/pool.hpp>
#include <lido/postgres/session.hpp>
#include <postgres/server.hpp>

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
-- borrower who forgot to commit, and holds locks.
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

BOOST_AUTO_TEST_CASE(active_connections_shows_what_a_borrower_waits_for) {
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

BOOST_AUTO_TEST_SUITE_END()
