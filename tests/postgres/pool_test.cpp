#include <chrono>
#include <exception>
#include <fstream>
#include <future>
#include <latch>
#include <optional>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <lido/error.hpp>
#include <lido/postgres/pool.hpp>
#include <lido/postgres/session.hpp>
#include <lido/postgres/transact.hpp>
#include <postgres/server.hpp>
#include <support/directory.hpp>
#include <support/variable.hpp>

using namespace lido;
using namespace lido::postgres;
using namespace lido::test;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(pool)

namespace {

std::string everything(const std::exception& error) {
  std::string text = error.what();
  try {
    std::rethrow_if_nested(error);
  } catch (const std::exception& cause) {
    text += " / " + everything(cause);
  }
  return text;
}

}  // namespace

BOOST_AUTO_TEST_CASE(gets_all_connections_back_from_fifty_sessions_at_once) {
  server().ask("drop table if exists marks; create table marks(id int)");
  postgres::Pool pool{server().conninfo(),
                      {.pool_size = 5, .max_overflow = 5, .pool_timeout = 30s, .application_name = "fifty"}};
  {
    std::latch all{50};
    std::vector<std::jthread> threads;
    for (int i = 0; i < 50; ++i)
      threads.emplace_back([&, i] {
        all.arrive_and_wait();
        for (int round = 0; round < 5; ++round) {
          if (i % 5 == 0) {
            const Session forgotten{pool};
          } else {
            transact(pool, [&](Session& session) { session.exec("insert into marks values ($1)", i); });
          }
        }
      });
  }
  const Statistics statistics = pool.statistics();
  BOOST_TEST(statistics.now.leased == 0U);
  BOOST_TEST(statistics.now.waiting == 0U);
  BOOST_TEST(statistics.acquired == 250U);
  BOOST_TEST(statistics.released == 250U);
  BOOST_TEST(statistics.now.total() <= 10U);
  BOOST_TEST(server().ask("select count(*) from marks") == "200");
  // Those of other tests may still be about to end.
  BOOST_TEST(std::stoi(server().ask("select count(*) from pg_stat_activity where application_name = 'fifty'")) <= 10);
}

BOOST_AUTO_TEST_CASE(leases_no_session_that_the_server_ended) {
  postgres::Pool pool{server().conninfo(), {.pool_size = 3, .max_overflow = 0, .pre_ping = false}};
  {
    auto first = pool.acquire(), second = pool.acquire(), third = pool.acquire();
  }
  BOOST_TEST(server().terminate_backends() >= 3);
  for (int i = 0; i < 3; ++i) BOOST_TEST(pool.acquire()->exec("select 1").one<int>() == 1);
}

BOOST_AUTO_TEST_CASE(survives_a_restart_and_a_crash_of_the_server) {
  postgres::Pool pool{server().conninfo(), {.pool_size = 4, .max_overflow = 0, .pool_timeout = 1min}};
  for (const auto mode : {PostgresServer::Mode::fast, PostgresServer::Mode::immediate}) {
    {
      auto first = pool.acquire(), second = pool.acquire();
      server().restart(mode);
    }
    for (int i = 0; i < 4; ++i) BOOST_TEST(pool.acquire()->exec("select 1").one<int>() == 1);
    Session session{pool};
    session.commit();
  }
}

BOOST_AUTO_TEST_CASE(waits_for_a_server_that_comes_back) {
  postgres::Pool pool{server().conninfo(), {.pool_size = 1, .max_overflow = 0, .pool_timeout = 1min}};
  server().stop();
  auto answer = std::async(std::launch::async, [&] { return pool.acquire(1min)->exec("select 1").one<int>(); });
  PostgresServer::wait_until("an attempt has failed", [&] { return pool.statistics().open_failures > 0; });
  server().start();
  BOOST_TEST(answer.get() == 1);
  BOOST_TEST(pool.statistics().now.idle == 1U);
}

BOOST_AUTO_TEST_CASE(replaces_a_hung_connection_at_the_caller_s_deadline_at_the_latest) {
  postgres::Pool pool{server().conninfo(),
                      {.pool_size = 1, .max_overflow = 0, .pool_timeout = 300ms, .pre_ping_after = 0s}};
  pool.wait_until_ready(1min);
  server().sigstop();
  const auto start = Clock::now();
  BOOST_CHECK_THROW(static_cast<void>(pool.acquire()), AcquireTimeout);
  const auto took = Clock::now() - start;
  server().sigcont();
  BOOST_TEST((took >= 300ms));
  BOOST_TEST((took < 10s));  // which only a failure reaches
  BOOST_TEST(pool.acquire(1min)->exec("select 1").one<int>() == 1);
}

BOOST_AUTO_TEST_CASE(keeps_idle_sessions_alive_before_the_server_ends_them) {
  const auto is_there = [](int pid) {
    return server().ask("select count(*) from pg_stat_activity where pid = " + std::to_string(pid)) == "1";
  };
  // Whether a session is kept by a server that ends those that are idle for `limit`.
  const auto keeps = [&](std::chrono::milliseconds limit) {
    const auto pool_of_one = [&](Duration keep_alive) {
      PoolOptions options;
      options.sweep_interval = limit / 15;
      options.keep_alive = keep_alive;
      return lido::Pool<postgres::Connection, postgres::Growth, postgres::CheckSession, postgres::Recycle>{
          postgres::Connector{server().conninfo() +
                              " options='-c idle_session_timeout=" + std::to_string(limit.count()) + "'"},
          postgres::Growth{.overflow = {1, 0}}, postgres::CheckSession{}, postgres::Recycle{}, options};
    };
    auto kept = pool_of_one(limit / 5);
    auto left = pool_of_one(1h);
    const int kept_before = kept.acquire()->backend_pid();
    const int left_before = left.acquire()->backend_pid();
    // The server ends what nobody asks for, so that it would have ended the other, too.
    PostgresServer::wait_until("the idle session is ended", [&] { return !is_there(left_before); });
    postgres::detail::pause_until(Clock::now() + 2 * limit);  // the span is what is tested
    BOOST_TEST(left.acquire()->backend_pid() != left_before);
    return is_there(kept_before) && kept.acquire()->backend_pid() == kept_before;
  };
  // A machine that stands still for a second keeps nobody alive, so that there is another round with more time.
  bool kept = false;
  for (auto limit = 1500ms; !kept && limit <= 12s; limit *= 2) kept = keeps(limit);
  BOOST_TEST(kept);
}

BOOST_AUTO_TEST_CASE(leaves_no_session_state_to_the_next_holder) {
  postgres::Pool pool{server().conninfo(), {.pool_size = 1, .max_overflow = 0}};
  int pid = 0;
  {
    auto lease = pool.acquire();
    pid = lease->backend_pid();
    lease->exec("set search_path = nowhere");
    lease->exec("begin");
  }
  auto lease = pool.acquire();
  BOOST_TEST(lease->backend_pid() == pid);
  BOOST_TEST(!lease->in_transaction());
  BOOST_TEST(lease->exec("show search_path").one<std::string>() != "nowhere");
}

BOOST_AUTO_TEST_CASE(discards_what_comes_back_in_the_middle_of_a_statement) {
  postgres::Pool pool{server().conninfo(), {.pool_size = 1, .max_overflow = 0}};
  int pid = 0;
  {
    auto lease = pool.acquire();
    pid = lease->backend_pid();
    PQsendQuery(lease->native(), "select pg_sleep(1)");
  }
  BOOST_TEST(pool.acquire()->backend_pid() != pid);
}

BOOST_AUTO_TEST_CASE(test_pool_connects_anew_each_time_and_still_has_its_limit) {
  TestPool pool{server().conninfo(), {.pool_size = 1, .max_overflow = 1}};
  std::set<int> pids;
  for (int i = 0; i < 3; ++i) pids.insert(pool.acquire()->backend_pid());
  BOOST_TEST(pids.size() == 3U);
  BOOST_TEST(pool.statistics().now.total() == 0U);
  auto first = pool.acquire(), second = pool.acquire();
  BOOST_CHECK_THROW(static_cast<void>(pool.acquire(50ms)), AcquireTimeout);
}

BOOST_AUTO_TEST_CASE(is_made_as_the_environment_says) {
  const auto environment = options_from_environment([](const char* name) -> const char* {
    static const std::string url = "postgresql://postgres@/postgres?host=" + server().host();
    if (std::string_view{name} == "DATABASE_URL") return url.c_str();
    return std::string_view{name} == "ENVIRONMENT" ? "test" : nullptr;
  });
  postgres::Pool pool{environment};
  BOOST_TEST(pool.acquire()->exec("select 1").one<int>() == 1);
  BOOST_TEST(pool.statistics().now.total() == 0U);
  BOOST_TEST(pool.statistics().max_size == 60U);
}

BOOST_AUTO_TEST_CASE(the_same_settings_make_the_same_pool_each_way) {
  const auto check = [](postgres::Pool& pool) {
    BOOST_TEST(pool.acquire(1min)->exec("select current_user::text").one<std::string>() == "postgres");
    const Statistics statistics = pool.statistics();
    BOOST_TEST(statistics.name == "three");
    BOOST_TEST(statistics.pool_size == 3U);
    BOOST_TEST(statistics.max_size == 5U);
    const auto lease = pool.acquire(1min);
    BOOST_TEST((lease->settings().statement_timeout == 7s));
    BOOST_TEST((lease->settings().reset == ResetLevel::rollback));
    std::vector<postgres::Pool::Lease> others;
    while (others.size() < 4) others.push_back(pool.acquire(1min));
    const auto start = Clock::now();
    BOOST_CHECK_THROW(static_cast<void>(pool.acquire()), AcquireTimeout);
    BOOST_TEST((Clock::now() - start < 20s));  // by default it would be 30 s
  };
  {
    postgres::Pool by_code{server().conninfo(),
                           {.pool_size = 3,
                            .max_overflow = 2,
                            .pool_timeout = 40ms,
                            .statement_timeout = 7s,
                            .reset = ResetLevel::rollback,
                            .name = "three"}};
    check(by_code);
  }
  {
    postgres::Pool by_pairs{server().conninfo() +
                            " pool_size=3 pool_max_overflow=2 pool_timeout=40ms pool_statement_timeout=7 "
                            "pool_reset=rollback pool_name=three"};
    check(by_pairs);
  }
  {
    postgres::Pool by_uri{"postgresql://postgres@/postgres?host=" + server().host() +
                              "&pool_size=3&pool_max_overflow=2&pool_timeout=40ms&pool_statement_timeout=7s"
                              "&pool_reset=rollback&pool_name=three",
                          {.pool_size = 50, .max_overflow = 50, .pool_timeout = 30s}};
    check(by_uri);
  }
  const Variable url{"DATABASE_URL", std::nullopt};
  const Variable host{"PGHOST", server().host()}, user{"PGUSER", "postgres"}, database{"PGDATABASE", "postgres"};
  const Variable size{"DATABASE_POOL_SIZE", "3"}, overflow{"DATABASE_POOL_MAX_OVERFLOW", "2"};
  const Variable timeout{"DATABASE_POOL_TIMEOUT", "40ms"}, statement{"DATABASE_POOL_STATEMENT_TIMEOUT", "7s"};
  const Variable reset{"DATABASE_POOL_RESET", "rollback"}, name{"DATABASE_POOL_NAME", "three"};
  postgres::Pool by_environment{options_from_environment()};
  check(by_environment);
}

BOOST_AUTO_TEST_CASE(what_the_program_changes_after_all_has_been_read_wins) {
  const std::string url = server().conninfo() + " pool_size=3 pool_max_overflow=4 pool_idle_timeout=1h";
  std::ostringstream log;
  // [settings]
  // Or options_from_environment(), which reads DATABASE_URL.
  lido::postgres::Environment settings = lido::postgres::options_from_string(url, {.pool_size = 5});
  settings.options.max_overflow = 0;  // whatever the string says
  lido::postgres::Pool pool{settings};
  log << settings.options << '\n';  // pool_size=3 pool_max_overflow=0 ..., with nothing secret among them
  // [/settings]
  BOOST_TEST(pool.statistics().max_size == 3U);
  BOOST_TEST(log.str().starts_with("pool_size=3 pool_max_overflow=0 pool_min_idle=0 pool_timeout=30s "));
  BOOST_TEST(log.str().find(" pool_idle_timeout=1h ") != std::string::npos);
}

// Initialises any member.
struct AnyOption {
  template <class T>
  operator T() const;  // NOLINT(google-explicit-constructor): that is what it is for
};
template <class T, class... Members>
constexpr std::size_t options_of() {
  if constexpr (requires { T{Members{}..., AnyOption{}}; })
    return options_of<T, Members..., AnyOption>();
  else
    return sizeof...(Members);
}

BOOST_AUTO_TEST_CASE(hands_every_option_of_the_core_on) {
  const postgres::Pool pool{server().conninfo(),
                            {.pool_timeout = 31s,
                             .max_waiting = 32,
                             .refuse_nested_wait = true,
                             .fail_fast_after = 43s,
                             .max_standing_wait = 44s,
                             .refuse_hopeless = false,
                             .barging_limit = 33ms,
                             .connect_timeout = 34s,
                             .check_timeout = 35s,
                             .reset_timeout = 36s,
                             .keep_alive = 37s,
                             .sweep_interval = 38s,
                             .backoff_min = 39ms,
                             .backoff_max = 40ms,
                             .workers = 2,
                             .leak_after = 41s,
                             .start_worker = {},
                             .name = "forty-two"}};
  const PoolOptions& options = pool.options();
  BOOST_TEST((options.acquire_timeout == 31s && options.open_timeout == 34s && options.check_timeout == 35s));
  BOOST_TEST((options.reset_timeout == 36s && options.keep_alive == 37s && options.sweep_interval == 38s));
  BOOST_TEST((options.backoff_min == 39ms && options.backoff_max == 40ms && options.leak_after == 41s));
  BOOST_TEST((options.fail_fast_after == 43s && options.max_standing_wait == 44s && !options.refuse_hopeless));
  BOOST_TEST((options.barging_limit == 33ms && options.max_waiting == 32 && options.refuse_nested_wait));
  BOOST_TEST((options.workers == 2U && !options.start_worker && options.name == "forty-two"));
  // Whoever adds one to the core adds it above, and to `Options`.
  BOOST_TEST(options_of<PoolOptions>() == 18U);
}

BOOST_AUTO_TEST_CASE(opens_its_idle_minimum_before_anybody_asks) {
  postgres::Pool pool{server().conninfo(),
                      {.pool_size = 3, .max_overflow = 0, .min_idle = 3, .application_name = "ahead"}};
  pool.wait_until_ready(1min);
  BOOST_TEST(pool.statistics().now.idle == 3U);
  BOOST_TEST(server().ask("select count(*) from pg_stat_activity where application_name = 'ahead'") == "3");
}

BOOST_AUTO_TEST_CASE(refuses_a_caller_too_many_and_one_that_waits_for_itself) {
  postgres::Pool full{server().conninfo(), {.pool_size = 1, .max_overflow = 0, .min_idle = 1, .max_waiting = 0}};
  full.wait_until_ready(30s);
  const auto held = full.acquire(30s);
  BOOST_CHECK_THROW((void)full.acquire(30s), QueueFull);
  postgres::Pool own{server().conninfo(), {.pool_size = 1, .max_overflow = 0, .refuse_nested_wait = true}};
  const auto mine = own.acquire(30s);
  BOOST_CHECK_THROW((void)own.acquire(30s), SelfDeadlock);
}

BOOST_AUTO_TEST_CASE(replaces_a_connection_after_its_uses) {
  postgres::Pool pool{server().conninfo(), {.pool_size = 1, .max_overflow = 0, .max_uses = 2}};
  const auto pid = [&] { return pool.acquire()->backend_pid(); };
  const int first = pid();
  BOOST_TEST(pid() == first);
  BOOST_TEST(pid() != first);
}

BOOST_AUTO_TEST_CASE(finds_its_server_by_a_service_file) {
  const Directory directory;
  std::ofstream{directory / "services"} << "[ours]\nhost=" << server().host() << "\nuser=postgres\ndbname=postgres\n";
  const Variable file{"PGSERVICEFILE", directory / "services"};
  {
    postgres::Pool pool{"service=ours pool_size=1"};
    BOOST_TEST(pool.acquire()->exec("select 1").one<int>() == 1);
  }
  const Variable service{"PGSERVICE", "ours"}, url{"DATABASE_URL", std::nullopt};
  postgres::Pool pool{options_from_environment()};
  BOOST_TEST(pool.acquire()->exec("select 1").one<int>() == 1);
  postgres::Pool other{"service=theirs"};
  BOOST_CHECK_EXCEPTION(static_cast<void>(other.acquire()), PermanentConnectError, [](const postgres::Error& error) {
    return std::string_view{error.what()}.find("theirs") != std::string_view::npos;
  });
}

BOOST_AUTO_TEST_CASE(refuses_bad_settings_when_it_is_made) {
  BOOST_CHECK_THROW(postgres::Pool("dbname=app pool_sise=3"), SettingError);
  BOOST_CHECK_THROW(postgres::Pool("postgresql://app:hunter2/db"), PermanentConnectError);
  BOOST_CHECK_THROW(postgres::Pool("", {.pool_size = 0, .max_overflow = 0}), InvalidOption);
}

BOOST_AUTO_TEST_CASE(tells_of_a_wrong_password_at_once) {
  server().ask("drop role if exists with_password; create role with_password login password 'right-secret'");
  postgres::Pool pool{server().conninfo("with_password") + " password=hunter2-secret", {.pool_timeout = 30s}};
  const auto start = Clock::now();
  BOOST_CHECK_THROW(static_cast<void>(pool.acquire()), PermanentConnectError);
  BOOST_TEST((Clock::now() - start < 20s));  // which only a failure reaches: the pool's time-out is later
}

BOOST_AUTO_TEST_CASE(names_an_unreachable_server_in_the_first_line_of_a_time_out_and_shows_no_secret) {
  postgres::Pool pool{"host=/nonexistent user=app password=hunter2-secret dbname=app", {.pool_timeout = 100ms}};
  bool told = false;
  for (const TimePoint late = soon(); !told;) try {
      static_cast<void>(pool.acquire());
      BOOST_ERROR("acquired");
      told = true;
    } catch (const AcquireTimeout& error) {
      if (error.cause() == nullptr && Clock::now() < late) continue;  // no attempt has had its turn
      told = true;
      BOOST_TEST((error.phase() == Phase::opening));
      const std::string_view what = error.what();
      BOOST_TEST(what.substr(0, what.find('\n')).find("; last failure: connection to ") != std::string_view::npos,
                 what);
      BOOST_TEST(what.substr(0, what.find('\n')).find("/nonexistent") != std::string_view::npos, what);
      const std::string all = everything(error);
      BOOST_TEST(all.find("hunter2") == std::string::npos);
    }
}

BOOST_AUTO_TEST_SUITE_END()
