// Reads on standbys that keep up, and on the primary where none does.
#include <chrono>
#include <stop_token>
#include <string>
#include <string_view>
#include <thread>
#include <tuple>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <cluster/cluster.hpp>
#include <faults/starvation.hpp>
#include <lido/postgres/connection.hpp>
#include <lido/postgres/replicas.hpp>
#include <lido/postgres/session.hpp>
#include <lido/postgres/transact.hpp>

using namespace lido::test;
using lido::Clock;
using lido::Duration;
using lido::postgres::BasicSession;
using lido::postgres::Connection;
using lido::postgres::ReadWriteOptions;
using lido::postgres::ReadWritePools;

BOOST_AUTO_TEST_SUITE(replicas)

namespace {

// The tests of this file one after the other use, and change, one cluster.
Cluster& cluster() {
  static Cluster instance;
  return instance;
}

ReadWriteOptions options() {
  ReadWriteOptions options;
  options.writes.pool_timeout = 5s;
  options.reads.pool_timeout = 5s;
  options.reads.max_lag = 300ms;
  return options;
}

ReadWritePools pools(const ReadWriteOptions& with = options()) {
  return {cluster().conninfo("read-write"), cluster().conninfo("standby"), with};
}

// A standby that is sent everything and replays nothing.
class Pause {
 public:
  Pause() { cluster().second.ask("select pg_wal_replay_pause()"); }
  Pause(const Pause&) = delete;
  Pause& operator=(const Pause&) = delete;
  ~Pause() { cluster().second.ask("select pg_wal_replay_resume()"); }
};

bool on_standby(Connection& connection) { return connection.exec("select pg_is_in_recovery()").one<bool>(); }
bool reads_on_standby(ReadWritePools& pools) {
  auto lease = pools.reads().acquire();
  return on_standby(*lease);
}
// The first read has to connect, for which a machine that is slow may need longer than a read waits for a standby.
void wait_for_standby(ReadWritePools& pools) {
  PostgresServer::wait_until("reads go to the standby", [&] { return reads_on_standby(pools); });
}

}  // namespace

BOOST_AUTO_TEST_CASE(reads_go_to_a_standby_and_writes_to_the_primary) {
  auto both = pools();
  wait_for_standby(both);
  const auto before = both.standbys().statistics().acquired;
  auto lease = both.writes().acquire();
  BOOST_TEST(!on_standby(*lease));
  lease.release();
  auto reads = both.reads();
  BasicSession session{reads, {.read_only = true}};
  BOOST_TEST(session.exec("select count(*) from notes where id > 0").one<long>() == 0);
  session.commit();
  BOOST_TEST(lido::postgres::transact(reads, [](auto& work) { return on_standby(work.connection()); }));
  BOOST_TEST(both.standbys().statistics().acquired == before + 2);
}

BOOST_AUTO_TEST_CASE(what_its_page_shows_works) {
  const std::string primary = cluster().conninfo("read-write"), standbys = cluster().conninfo("standby");
  // [read_write]
  // The strings are "host=db1,db2 dbname=app target_session_attrs=read-write", and the same with `standby`.
  ReadWriteOptions options;
  options.reads.max_lag = 300ms;
  ReadWritePools pools{primary, standbys, options};

  pools.writes().acquire()->exec("insert into notes values (-2, 0)");
  auto reads = pools.reads();
  const long notes = reads.acquire()->exec("select count(*) from notes").one<long>();
  BasicSession session{reads, {.read_only = true}};
  // [/read_write]
  BOOST_TEST(notes >= 0);
  session.commit();
  wait_for_standby(pools);
  BasicSession again{reads, {.read_only = true}};
  BOOST_TEST(on_standby(again.connection()));
}

BOOST_AUTO_TEST_CASE(a_standby_without_anything_to_replay_does_not_lag_however_long_that_lasts) {
  auto both = pools();
  bool stays = false;
  // A read has half a second for the standby, in which the machine may stall: then it is tried again.
  for (int tries = 0; tries < 10; ++tries) {
    wait_for_standby(both);
    const auto before = both.standbys().statistics().closed;
    const Control control;
    std::this_thread::sleep_for(2 * options().reads.max_lag);  // the lag is a matter of the servers' clocks
    stays = reads_on_standby(both) && both.standbys().statistics().closed == before;
    if (stays || control.worst() < 50ms) break;
  }
  BOOST_TEST(stays);
}

BOOST_AUTO_TEST_CASE(a_standby_that_lags_is_left_until_it_has_caught_up) {
  auto both = pools();
  wait_for_standby(both);
  {
    const Pause pause;
    cluster().first.ask("insert into notes values (-1, 0)");
    PostgresServer::wait_until("reads leave the standby", [&] { return !reads_on_standby(both); });
    BOOST_TEST(both.standbys().statistics().now.idle == 0U);
    const auto begun = Clock::now();
    for (int i = 0; i < 10; ++i) BOOST_TEST(!reads_on_standby(both));
    BOOST_TEST((Clock::now() - begun < 10 * options().patience));  // nobody waits for it any more
  }
  PostgresServer::wait_until("reads return to the standby", [&] { return reads_on_standby(both); });
}

BOOST_AUTO_TEST_CASE(a_standby_that_lags_is_passed_over_for_a_host_that_keeps_up) {
  const std::string hosts = "host=" + cluster().second.host() + "," + cluster().first.host();
  const std::string rest = " user=postgres dbname=postgres target_session_attrs=";
  const lido::postgres::ConnectionSettings bounded{.max_lag = 300ms};
  const Pause pause;
  cluster().first.ask("insert into notes values (-1, 0)");
  const auto refused = [&](const std::string& target) -> std::string {
    try {
      static_cast<void>(Connection::connect(target, soon(), {}, bounded));
    } catch (const lido::postgres::PermanentConnectError& error) {
      return error.what() + std::string{" (for good)"};
    } catch (const lido::postgres::ConnectError& error) {
      return error.what();
    }
    return "";
  };
  PostgresServer::wait_until("the standby lags", [&] { return !refused(cluster().second.conninfo()).empty(); });
  for (const char* const attributes : {"any", "prefer-standby"}) {
    auto connection = Connection::connect(hosts + rest + attributes, soon(), {}, bounded);
    BOOST_TEST(!on_standby(connection));
  }
  // Where none will do, each says why not.
  const std::string none = refused(hosts + rest + "standby");
  BOOST_TEST(none.starts_with("no host will do: connection to " + cluster().second.host()), none);
  BOOST_TEST(none.find("failed: too far behind its primary; ") != std::string::npos, none);
  BOOST_TEST(none.find("for good") == std::string::npos, none);
  lido::postgres::Pool pool{hosts + rest + "any", {.pool_size = 2, .max_lag = 300ms}};
  auto one = pool.acquire(), other = pool.acquire();
  BOOST_TEST(!on_standby(*one));
  BOOST_TEST(!on_standby(*other));
  BOOST_TEST(pool.statistics().open_failures == 0U);
}

BOOST_AUTO_TEST_CASE(a_standby_that_has_replayed_nothing_since_its_start_lags) {
  cluster().first.ask("alter system set autovacuum = off");  // which commits, too
  cluster().first.ask("select pg_reload_conf()");
  const PostgresServer late{cluster().first, "late", {"recovery_min_apply_delay=1h"}};
  cluster().first.ask("insert into notes values (-1, 0)");
  PostgresServer::wait_until("it has something to replay", [&] {
    return late.ask("select pg_last_wal_receive_lsn() > pg_last_wal_replay_lsn()") == "t";
  });
  BOOST_TEST(late.ask("select pg_last_xact_replay_timestamp() is null") == "t");
  const auto connect = [&](Duration max_lag) {
    static_cast<void>(Connection::connect(late.conninfo(), soon(), {}, {.max_lag = max_lag}));
  };
  BOOST_CHECK_EXCEPTION(connect(24h), lido::postgres::ConnectError, [](const lido::postgres::ConnectError& error) {
    return std::string_view{error.what()}.find("too far behind its primary") != std::string_view::npos;
  });
  connect(Duration::max());
}

BOOST_AUTO_TEST_CASE(a_read_that_is_stopped_takes_no_connection) {
  auto both = pools();
  wait_for_standby(both);
  const auto before = both.standbys().statistics().acquired;
  std::stop_source stop;
  stop.request_stop();
  BOOST_CHECK_THROW(static_cast<void>(both.reads().acquire(5s, stop.get_token())), lido::AcquireCancelled);
  auto reads = both.reads();
  const auto session = [&] { BasicSession{reads, {.until = stop.get_token()}}; };
  BOOST_CHECK_THROW(session(), lido::AcquireCancelled);
  BOOST_TEST(both.standbys().statistics().acquired == before);
}

BOOST_AUTO_TEST_CASE(reads_are_spread_whatever_else_is_set) {
  // Both hosts will do, so that the order in which they are tried shows.
  const auto on_second = [](const ReadWriteOptions& with) {
    ReadWritePools both{cluster().conninfo("read-write"), cluster().conninfo("any"), with};
    BOOST_TEST(both.writes().options().name == "writes");
    BOOST_TEST(both.standbys().options().name == "reads");
    std::vector<ReadWritePools::Lease> leases;
    int count = 0;
    for (int i = 0; i < 20; ++i) {
      leases.push_back(both.standbys().acquire());
      count += on_standby(*leases.back()) ? 1 : 0;
    }
    return count;
  };
  const int spread = on_second({.reads = {.pool_size = 20, .max_lag = 10s}});
  BOOST_TEST(spread > 0);
  BOOST_TEST(spread < 20);
  const int in_order = on_second({.reads = {.pool_size = 20}, .load_balance_hosts = false});
  BOOST_TEST(in_order == 0);
}

BOOST_AUTO_TEST_CASE(what_is_read_is_no_older_than_the_bound) {
  auto both = pools();
  cluster().first.ask(
      "create table if not exists clock(at timestamptz); truncate clock; insert into clock values (now())");
  std::jthread ticking{[](const std::stop_token& stop) {
    auto primary = Connection::connect(cluster().first.conninfo(), soon());
    while (!stop.stop_requested()) primary.exec("update clock set at = clock_timestamp()");
  }};
  PostgresServer::wait_until("the standby has the clock", [] {
    return cluster().second.ask("select count(*) from pg_class where relname = 'clock'") == "1" &&
           cluster().second.ask("select count(*) from clock") == "1";
  });
  int standby = 0, primary = 0;
  double oldest = 0;
  const Control control;
  for (int pauses = 0; pauses < 2; ++pauses) {
    const auto read_for = [&](Duration span) {
      for (const auto end = Clock::now() + span; Clock::now() < end;) {
        // As of the statement's begin: what comes before is the time that this thread was kept waiting.
        auto lease = both.reads().acquire();
        const auto row =
            lease->exec("select extract(epoch from now() - at)::float8, pg_is_in_recovery() from clock")[0];
        oldest = std::max(oldest, row[0].as<double>());
        ++(row[1].as<bool>() ? standby : primary);
      }
    };
    read_for(300ms);
    const Pause pause;
    read_for(2500ms);  // for longer than what is allowed for below
  }
  std::cout << "| reads while a standby stands still at times: " << standby << " on it, " << primary
            << " on the primary, the oldest " << static_cast<int>(oldest * 1000) << " ms old; the bound is 300 ms\n";
  BOOST_TEST(standby > 0);
  BOOST_TEST(primary > 0);
  // A second for a machine that gives no processor between the check and the query, and what stood still all of it.
  BOOST_TEST(oldest - std::chrono::duration<double>{control.worst()}.count() < 1.3);
}

BOOST_AUTO_TEST_CASE(a_standby_that_hangs_leaves_a_read_the_time_for_the_primary) {
  for (const Duration patience : {Duration{0s}, Duration{500ms}}) {
    ReadWriteOptions with = options();
    with.patience = patience;
    with.reads.pre_ping_after = 0s;
    auto both = pools(with);
    wait_for_standby(both);
    both.writes().acquire()->exec("select 1");
    cluster().second.sigstop();
    for (Duration span = 400ms;; span *= 2) {
      const Control control;
      const auto begun = Clock::now();
      try {
        auto lease = both.reads().acquire(span);
        const auto took = Clock::now() - begun - control.worst();
        BOOST_TEST(!on_standby(*lease));
        BOOST_TEST((took < span + 600ms), "it took " << milliseconds(took) << " of " << milliseconds(span));
        break;
      } catch (const lido::AcquireTimeout&) {
        if (control.worst() < span / 4) throw;  // else the machine has had the time
      }
    }
    cluster().second.sigcont();
  }
  BOOST_CHECK_THROW((void)pools().reads().acquire(-1s), lido::InvalidOption);
}

BOOST_AUTO_TEST_CASE(reads_go_to_the_primary_where_there_is_no_standby) {
  cluster().second.stop();
  // It has the only copy of what is acknowledged.
  cluster().first.ask("alter system reset synchronous_standby_names");
  cluster().first.ask("select pg_reload_conf()");
  auto both = pools();
  BOOST_TEST(!reads_on_standby(both));
  PostgresServer::wait_until("the attempt has failed", [&] { return both.standbys().statistics().open_failures > 0; });
  cluster().second.follow(cluster().first, "second");
  wait_for_standby(both);
}

BOOST_AUTO_TEST_CASE(settings_out_of_their_range_are_named) {
  ReadWriteOptions wrong;
  wrong.patience = -1s;
  BOOST_CHECK_EXCEPTION(pools(wrong), lido::InvalidOption, [](const lido::InvalidOption& error) {
    return std::string_view{error.what()}.find("ReadWriteOptions::patience") != std::string_view::npos;
  });
  wrong = {};
  wrong.reads.max_lag = 0s;
  BOOST_CHECK_THROW(pools(wrong), lido::InvalidOption);
}

// By that error a failover is known: a COPY whose columns would be asked for has it as well.
BOOST_AUTO_TEST_CASE(a_copy_into_a_standby_is_refused_as_read_only) {
  cluster().first.ask("drop table if exists copied; create table copied (a double precision, b double precision)");
  PostgresServer::wait_until("the standby has the table",
                             [] { return cluster().second.ask("select to_regclass('copied') is not null") == "t"; });
  const std::vector<std::tuple<double, double>> rows(5000);
  Connection standby = Connection::connect(cluster().second.conninfo(), soon());
  for (const bool inside : {false, true}) {
    if (inside) standby.exec("begin");
    BOOST_CHECK_EXCEPTION(standby.copy_in("copy copied from stdin", rows), lido::postgres::QueryError,
                          [](const lido::postgres::QueryError& error) { return error.sqlstate() == "25006"; });
    if (inside) standby.exec("rollback");
    BOOST_TEST(standby.is_usable());
  }
}

BOOST_AUTO_TEST_SUITE_END()
