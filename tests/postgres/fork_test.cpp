#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <exception>
#include <optional>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <lido/postgres/pool.hpp>
#include <lido/postgres/session.hpp>
#include <postgres/server.hpp>
#include <support/forking.hpp>

using namespace lido;
using namespace lido::postgres;
using namespace lido::test;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(fork_, *boost::unit_test::enable_if<lido::test::can_fork>())

BOOST_AUTO_TEST_CASE(a_child_opens_its_own_sessions_and_leaves_the_parents_alone) {
  postgres::Pool pool{server().conninfo(), {.pool_size = 3, .max_overflow = 0}};
  std::optional<Session> session{std::in_place, pool};
  Session& in_progress = *session;
  in_progress.exec("create temporary table kept as select 7 as value");
  auto held = pool.acquire();
  const int held_pid = held->backend_pid();
  int idle_pid = 0;
  {
    auto third = pool.acquire();
    idle_pid = third->backend_pid();
  }
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(60);
    ::_exit([&] {
      try {
        auto own = pool.acquire(20s);
        auto other = pool.acquire(20s);
        for (const int pid : {own->backend_pid(), other->backend_pid()})
          if (pid == held_pid || pid == idle_pid) return 1;
        if (own->exec("select 1").one<int>() != 1) return 2;
        held.release();  // sends nothing
        try {
          in_progress.exec("select 1");
          return 5;
        } catch (const ConnectionLost&) {
        }
        session.reset();  // no rollback either
        return pool.statistics().now.leased == 2 ? 0 : 3;
      } catch (const std::exception&) {
        return 4;
      }
    }());
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  BOOST_TEST(status == 0);
  BOOST_TEST(in_progress.exec("select value from kept").one<int>() == 7);
  in_progress.commit();
  BOOST_TEST(held->exec("select pg_backend_pid()").one<int>() == held_pid);
  held.release();
  std::vector<int> pids;
  {
    auto a = pool.acquire();
    auto b = pool.acquire();
    auto c = pool.acquire();
    pids = {a->backend_pid(), b->backend_pid(), c->backend_pid()};
  }
  BOOST_TEST(std::ranges::count(pids, idle_pid) == 1);
  BOOST_TEST(std::ranges::count(pids, held_pid) == 1);
  BOOST_TEST(pool.statistics().opened == 3U);
}

BOOST_AUTO_TEST_SUITE_END()
