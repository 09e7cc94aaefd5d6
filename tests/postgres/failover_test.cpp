// What a connection takes for the loss of its server, and what the pool makes of it. With real standbys: tests/cluster.
#include <chrono>
#include <set>
#include <string>
#include <utility>

#include <boost/test/unit_test.hpp>

#include <lido/postgres/pool.hpp>
#include <lido/postgres/session.hpp>
#include <postgres/server.hpp>

using namespace lido;
using namespace lido::postgres;
using namespace lido::test;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(failover)

namespace {

Options small(std::string name) {
  return {.pool_size = 3, .max_overflow = 0, .keep_alive = 1h, .application_name = std::move(name)};
}

// A pool with three connections, two of them idle.
struct Three {
  explicit Three(const std::string& text, const std::string& name) : pool{text, small(name)} {
    auto second = pool.acquire();
    auto third = pool.acquire();
    pids = {lease->backend_pid(), second->backend_pid(), third->backend_pid()};
  }
  // How many of them the pool has replaced after the first came back.
  int replaced() {
    lease.release();
    auto one = pool.acquire(), two = pool.acquire(), three = pool.acquire();
    int count = 0;
    for (const int pid : {one->backend_pid(), two->backend_pid(), three->backend_pid()}) count += !pids.contains(pid);
    return count;
  }
  postgres::Pool pool;
  postgres::Pool::Lease lease = pool.acquire();
  std::set<int> pids;
};

void end_session(postgres::Pool::Lease& lease) {
  server().ask("select pg_terminate_backend(" + std::to_string(lease->backend_pid()) + ", 60000)");
}

// Makes the server one that takes no writes, for sessions that begin meanwhile and those that are there.
class ReadOnlyServer {
 public:
  ReadOnlyServer() { set("alter system set default_transaction_read_only = on"); }
  ReadOnlyServer(const ReadOnlyServer&) = delete;
  ReadOnlyServer& operator=(const ReadOnlyServer&) = delete;
  ~ReadOnlyServer() { set("alter system reset default_transaction_read_only"); }

 private:
  static void set(const std::string& statement) {
    const std::string before = server().ask("show default_transaction_read_only");
    server().ask(statement);
    server().ask("select pg_reload_conf()");
    PostgresServer::wait_until("the server has read its settings",
                               [&] { return server().ask("show default_transaction_read_only") != before; });
  }
};

std::string writing() { return server().conninfo() + " target_session_attrs=read-write"; }

}  // namespace

BOOST_AUTO_TEST_CASE(a_session_ended_by_an_administrator_ends_the_generation) {
  Three three{server().conninfo(), "ended"};
  end_session(three.lease);
  BOOST_CHECK_THROW(three.lease->exec("select 1"), ConnectionLost);
  BOOST_TEST(three.lease->has_lost_server(soon()));
  BOOST_TEST(three.replaced() == 3);
  BOOST_TEST(three.pool.statistics().invalidated == 2U);
}

BOOST_AUTO_TEST_CASE(a_lost_connection_that_is_discarded_ends_the_generation_too) {
  Three three{server().conninfo(), "discarded"};
  end_session(three.lease);
  BOOST_CHECK_THROW(three.lease->exec("select 1"), ConnectionLost);
  three.lease.discard();
  BOOST_TEST(three.replaced() == 3);
}

BOOST_AUTO_TEST_CASE(a_session_that_loses_its_server_ends_the_generation_and_begins_on_a_new_one) {
  Three three{server().conninfo(), "session"};
  end_session(three.lease);
  three.lease.release();  // nobody has noticed
  {
    Session session{three.pool};
    session.exec("select 1");
    session.commit();
  }
  BOOST_TEST(three.replaced() >= 1);
}

BOOST_AUTO_TEST_CASE(a_crash_that_commit_finds_before_it_is_sent_ends_the_generation) {
  Three three{server().conninfo(), "crashed"};
  three.lease.release();
  Session session{three.pool};
  session.exec("select 1");
  server().restart(PostgresServer::Mode::immediate);  // says no more than a warning
  BOOST_CHECK_THROW(session.commit(), ConnectionLost);
  BOOST_TEST(three.pool.statistics().invalidated == 2U);
}

BOOST_AUTO_TEST_CASE(what_ends_one_session_alone_costs_one) {
  Three three{server().conninfo(), "alone"};
  three.lease->exec("set idle_in_transaction_session_timeout = '10ms'");
  three.lease->exec("begin");
  const int pid = three.lease->backend_pid();
  PostgresServer::wait_until("the server has ended the session", [&] {
    return server().ask("select count(*) from pg_stat_activity where pid = " + std::to_string(pid)) == "0";
  });
  const auto error = caught<ConnectionLost>([&] { three.lease->exec("select 1"); });
  BOOST_TEST(error.sqlstate() == "25P03");
  BOOST_TEST(three.replaced() == 1);
}

BOOST_AUTO_TEST_CASE(a_statement_that_runs_out_of_time_costs_one) {
  Three three{server().conninfo(), "late"};
  const auto sleeps = [&](lido::Duration span) {
    three.lease->exec_until(lido::Clock::now() + span, "select pg_sleep(60)");
  };
  BOOST_CHECK_THROW(once_sent(50ms, sleeps), QueryTimeout);
  BOOST_CHECK_THROW(three.lease->exec("select 1"), ConnectionLost);
  BOOST_TEST(!three.lease->has_lost_server(soon()));
  BOOST_TEST(three.replaced() == 1);
}

BOOST_AUTO_TEST_CASE(a_server_that_takes_no_writes_any_more_ends_the_generation_of_a_pool_that_writes) {
  server().ask("create table if not exists failover_notes(note text)");
  Three writes{writing(), "writes"}, reads{server().conninfo(), "reads"};
  {
    const ReadOnlyServer demoted;
    for (Three* three : {&writes, &reads}) {
      const auto error = caught<QueryError>([&] {
        // A setting that was reloaded is seen by the next statement.
        for (const lido::TimePoint late = soon(); lido::Clock::now() < late;)
          three->lease->exec("insert into failover_notes values ('one')");
      });
      BOOST_TEST(error.sqlstate() == "25006");
    }
    writes.lease.release();
    reads.lease.release();
  }
  BOOST_TEST(writes.replaced() == 3);
  BOOST_TEST(reads.replaced() == 0);
}

BOOST_AUTO_TEST_CASE(a_session_that_asked_for_read_only_itself_does_not_count) {
  server().ask("create table if not exists failover_notes(note text)");
  Three three{writing(), "asked"};
  const auto write = [&] { three.lease->exec("insert into failover_notes values ('one')"); };
  three.lease->exec_script("begin read only");
  BOOST_TEST(caught<QueryError>(write).sqlstate() == "25006");
  three.lease.release();
  three.lease = three.pool.acquire();
  three.lease->exec("set default_transaction_read_only = on");
  BOOST_TEST(caught<QueryError>(write).sqlstate() == "25006");
  BOOST_TEST(three.replaced() == 0);
  BOOST_TEST(three.pool.statistics().recycled == 0U);
}

BOOST_AUTO_TEST_SUITE_END()
