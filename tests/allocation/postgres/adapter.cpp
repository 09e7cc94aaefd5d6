// Every allocation of the PostgreSQL adapter made to fail in turn, on a real server. What libpq allocates is its own.
#include <lido/postgres/pool.hpp>
#include <lido/postgres/session.hpp>
#include <lido/postgres/transact.hpp>

#include <allocation/stage.hpp>
#include <support/postgres_server.hpp>

using namespace lido;
using namespace lido::test;

namespace {

PostgresServer& server() {
  static PostgresServer instance;
  return instance;
}

// As `try_to`, for the adapter.
template <class Call>
bool try_it(Call call) {
  try {
    call();
    return true;
  } catch (const std::bad_alloc&) {
  } catch (const PoolError&) {
  } catch (const postgres::Error&) {
  }
  return false;
}

TimePoint soon() { return Clock::now() + 10s; }

void use_connection(const std::string& conninfo) {
  std::optional<postgres::Connection> connection;
  if (!try_it([&] {
        connection =
            postgres::Connection::connect(conninfo, soon(), {}, {.application_name = "a longer name than fits"});
      }))
    return;
  try_it([&] { (void)connection->exec("select $1::int + 1", 41).one<int>(); });
  try_it([&] { (void)connection->exec("select $1::text", std::string(100, 'x')).one<std::string>(); });
  try_it([&] { connection->exec("select nothing from nowhere"); });
  try_it([&] { connection->exec("set search_path = nowhere"); });
  try_it([&] { connection->exec("begin"); });
  (void)connection->reset(soon());
  (void)connection->ping(soon());
}

// True when the insertion was committed, as far as the caller was told.
bool use_pool(postgres::Pool& pool) {
  // Where it cannot even connect all that follows would wait for that in vain, too.
  if (!try_it([&] { (void)pool.acquire(); }) && !try_it([&] { (void)pool.acquire(); })) return false;
  try_it([&] {
    postgres::Session session{pool};
    session.exec("insert into kept values ('rolled back')");
  });
  try_it([&] {
    postgres::Session session{pool};
    session.exec("select nothing from nowhere");
  });
  return try_it([&] {
    postgres::transact(pool, [](postgres::Session& session) { session.exec("insert into kept values ($1)", "one"); });
  });
}

void check_pool(postgres::Pool& pool, bool committed) {
  // Whatever happened to the sessions before, this one is in order and nobody else's.
  auto lease = pool.acquire(1min);
  BOOST_TEST(!lease->in_transaction());
  BOOST_TEST(lease->exec("show search_path").one<std::string>() != "nowhere");
  BOOST_TEST(lease->exec("select count(*) from kept where what = 'rolled back'").one<long>() == 0);
  const auto there = lease->exec("select count(*) from kept").one<long>();
  // Once, or not at all; memory may have run out behind the commit.
  BOOST_TEST(there <= 1);
  BOOST_TEST((there == 1 || !committed));
  lease->exec("truncate kept");
  lease.release();
  BOOST_TEST(pool.statistics().now.leased == 0U);
  BOOST_TEST(pool.close(1min).complete);
  BOOST_TEST(pool.statistics().opened == pool.statistics().closed);
}

void sessions_are_gone() {
  PostgresServer::wait_until("all sessions are gone", [] { return server().sessions() == 0; });
}

}  // namespace

BOOST_AUTO_TEST_SUITE(postgres_)

BOOST_AUTO_TEST_CASE(a_failed_allocation_costs_a_connection_at_most) {
  const std::string conninfo = server().conninfo();
  fail_each("postgres-connection", [&](auto nth, auto mode, bool& failed) {
    Faults::arm(nth, mode);
    use_connection(conninfo);
    failed = Faults::disarm();
  });
  sessions_are_gone();
}

BOOST_AUTO_TEST_CASE(a_failed_allocation_loses_no_session_of_a_pool_and_no_transaction) {
  server().ask("create table if not exists kept(what text); truncate kept");
  const std::string conninfo = server().conninfo();
  fail_each("postgres-pool", [&](auto nth, auto mode, bool& failed) {
    std::optional<postgres::Pool> pool;
    Faults::arm(nth, mode);
    bool committed = false;
    if (try_it([&] {
          pool.emplace(conninfo, postgres::Options{.pool_size = 1, .max_overflow = 1, .pool_timeout = 300ms});
        }))
      committed = use_pool(*pool);
    failed = Faults::disarm();
    if (pool) check_pool(*pool, committed);
  });
  sessions_are_gone();
}

BOOST_AUTO_TEST_SUITE_END()
