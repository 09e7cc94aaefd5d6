// A connection's socket stays registered with the loop that waited for it: what that loop, a thread, another loop,
// libpq and a child process do to it in between.
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <exception>
#include <filesystem>
#include <iterator>
#include <latch>
#include <mutex>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/bind_executor.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/execution/outstanding_work.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/require.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/use_future.hpp>
#include <boost/test/unit_test.hpp>
#include <lido/asio/postgres.hpp>
#include <lido/postgres/error.hpp>
#include <lido/postgres/pool.hpp>
#include <lido/postgres/result.hpp>
#include <postgres/server.hpp>
#include <support/forking.hpp>

#include "both_loops.hpp"

using namespace lido;
using namespace lido::test;
using namespace std::chrono_literals;
using lido::asio::async;
namespace net = boost::asio;

BOOST_AUTO_TEST_SUITE(asio_registration)

namespace {

net::awaitable<int> ask(postgres::Connection& connection, int number) {
  co_return number_in(co_await async(connection).exec_until(soon(), "select $1::int", number));
}
// In that loop, which goes on afterwards.
int ask_in(net::io_context& loop, postgres::Connection& connection, int number) {
  auto answer = net::co_spawn(loop, ask(connection, number), net::use_future);
  loop.restart();
  loop.run();
  return answer.get();
}
bool is_registered(postgres::Connection& connection) {
  return *connection.channel().socket().registration() != nullptr;
}
ino_t socket_at(int number) {
  struct stat facts{};
  return ::fstat(number, &facts) == 0 && S_ISSOCK(facts.st_mode) ? facts.st_ino : ino_t{0};
}
// Under which number this process has it; -1: under none.
int number_of(ino_t socket) {
  int number = 1023;
  while (number >= 0 && socket_at(number) != socket) --number;
  return number;
}
std::size_t open_files() {
  return static_cast<std::size_t>(std::distance(std::filesystem::directory_iterator{"/proc/self/fd"}, {}));
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_connection_goes_from_loop_to_loop_while_they_come_and_go) {
  postgres::Connection connection = connect();
  net::io_context here;
  for (int i = 0; i < 3; ++i) {
    net::io_context there;
    for (int k = 0; k < 3; ++k) BOOST_TEST(ask_in(there, connection, k) == k);
    BOOST_TEST(ask_in(here, connection, 10 + i) == 10 + i);
    BOOST_TEST(ask_in(there, connection, 20 + i) == 20 + i);
    in_both_loops([&](auto loop) -> Body<decltype(loop)> {
      const postgres::Result result = co_await async_in(loop, connection).exec_until(soon(), "select 1");
      co_return number_in(result) == 1;
    });
  }
}

BOOST_AUTO_TEST_CASE(a_loop_ends_whose_executor_counts_what_refers_to_it) {
  postgres::Connection connection = connect();
  postgres::Pool pool{server().conninfo(), {.pool_size = 1, .max_overflow = 0}};
  net::io_context loop;
  {
    const net::any_io_executor counting =
        net::require(loop.get_executor(), net::execution::outstanding_work_t::tracked);
    int answer = 0;
    net::co_spawn(counting, ask(connection, 41), [&](const std::exception_ptr&, int number) { answer += number; });
    net::co_spawn(
        counting,
        [&]() -> net::awaitable<int> {
          auto lease = co_await lido::asio::async_acquire(pool, 1min, net::use_awaitable);
          co_return co_await ask(*lease, 1);
        },
        [&](const std::exception_ptr&, int number) { answer += number; });
    while (answer != 42 && loop.run_one_for(1min) != 0) {
    }
    BOOST_TEST(answer == 42);
  }
  BOOST_TEST(is_registered(connection));
  loop.restart();
  loop.run_for(1min);
  BOOST_TEST(loop.stopped());  // and not by the time that it had
  BOOST_TEST(ask_in(loop, connection, 3) == 3);
}

BOOST_AUTO_TEST_CASE(a_thread_that_waits_for_the_connection_takes_it_out_of_the_loop) {
  postgres::Connection connection = connect();
  net::io_context loop;
  BOOST_TEST(ask_in(loop, connection, 1) == 1);
  BOOST_TEST(is_registered(connection));
  BOOST_TEST(connection.exec("select 2").one<int>() == 2);
  BOOST_TEST(!is_registered(connection));
  BOOST_TEST(ask_in(loop, connection, 3) == 3);
}

BOOST_AUTO_TEST_CASE(nothing_stays_open_behind_a_connection_or_a_loop) {
  server();
  net::io_context loop;
  std::optional<postgres::Connection> connection{connect()};
  ask_in(loop, *connection, 1);
  connection.reset();
  const std::size_t before = open_files();
  for (int i = 0; i < 3; ++i) {
    connection.emplace(connect());
    BOOST_TEST(ask_in(loop, *connection, i) == i);
    {
      net::io_context other;
      BOOST_TEST(ask_in(other, *connection, i) == i);
    }
    connection.reset();
  }
  // What earlier tests have left to threads of their own may be opened and closed meanwhile.
  PostgresServer::wait_until("no more is open than before", [&] { return open_files() <= before; });
}

BOOST_AUTO_TEST_CASE(a_connection_is_closed_in_a_thread_while_its_loop_runs_or_ends) {
  for (int i = 0; i < 20; ++i) {
    std::optional<postgres::Connection> mine{connect()};
    postgres::Connection others = connect();
    std::optional<net::io_context> loop{std::in_place};
    BOOST_TEST(ask_in(*loop, *mine, i) == i);
    std::latch together{2};
    std::jthread closer{[&] {
      together.arrive_and_wait();
      mine.reset();
    }};
    together.arrive_and_wait();
    if (i % 2 == 0)
      BOOST_TEST(ask_in(*loop, others, i) == i);
    else
      loop.reset();
  }
}

BOOST_AUTO_TEST_CASE(the_number_of_a_socket_that_libpq_closed_is_soon_that_of_another) {
  net::io_context loop;
  std::optional<postgres::Connection> lost{connect()};
  BOOST_TEST(ask_in(loop, *lost, 1) == 1);
  const int number = lost->channel().socket();
  terminate(*lost);
  BOOST_CHECK_THROW(ask_in(loop, *lost, 2), postgres::ConnectionLost);
  while (lost->channel().consume()) {  // up to the end, where libpq closes it
  }
  BOOST_REQUIRE(lost->channel().socket() == -1);
  std::vector<postgres::Connection> lower;  // as a number below it may have become free, too
  std::optional<postgres::Connection> next;
  PostgresServer::wait_until("another has the number", [&] {
    if (next && next->channel().socket() < number) lower.push_back(std::move(*next));
    next.reset();  // before the next is opened
    next.emplace(connect());
    return next->channel().socket() == number;
  });
  BOOST_TEST(ask_in(loop, *next, 3) == 3);
  lost.reset();
  BOOST_TEST(ask_in(loop, *next, 4) == 4);
}

BOOST_AUTO_TEST_CASE(a_child_process_takes_nothing_out_of_its_parents_loop, *boost::unit_test::enable_if<can_fork>()) {
  std::optional<postgres::Connection> connection{connect()};
  std::optional<net::io_context> loop{std::in_place};
  BOOST_TEST(ask_in(*loop, *connection, 1) == 1);
  auto& mutex = net::use_service<lido::asio::detail::Registry>(*loop).registered()->mutex;
  for (const bool loop_first : {false, true}) {
    std::unique_lock lock{mutex};  // as another thread of the parent may hold it
    const pid_t child = ::fork();
    if (child == 0) {
      ::alarm(60);
      if (loop_first) loop.reset();
      connection.reset();
      ::_exit(0);
    }
    lock.unlock();
    int status = -1;
    ::waitpid(child, &status, 0);
    BOOST_TEST(status == 0);
    BOOST_TEST(ask_in(*loop, *connection, 2) == 2);
  }
}

BOOST_AUTO_TEST_CASE(a_child_process_keeps_no_copy_of_a_socket_of_its_parents,
                     *boost::unit_test::enable_if<can_fork>()) {
  for (const bool told : {false, true}) {
    for (const bool loop_first : {false, true}) {
      std::optional<postgres::Connection> connection{connect()};
      std::optional<net::io_context> loop{std::in_place};
      BOOST_TEST(ask_in(*loop, *connection, 1) == 1);
      const ino_t socket = socket_at(connection->channel().socket());
      BOOST_REQUIRE(socket != 0U);
      if (told) loop->notify_fork(net::io_context::fork_prepare);
      const pid_t child = ::fork();
      if (child == 0) {
        ::alarm(60);
        if (told) loop->notify_fork(net::io_context::fork_child);
        if (loop_first) loop.reset();
        connection.reset();
        ::_exit(number_of(socket) < 0 ? 0 : 1);
      }
      if (told) loop->notify_fork(net::io_context::fork_parent);
      int status = -1;
      ::waitpid(child, &status, 0);
      BOOST_TEST(status == 0);
      BOOST_TEST(number_of(socket) >= 0);
      BOOST_TEST(ask_in(*loop, *connection, 2) == 2);
    }
  }
}

BOOST_AUTO_TEST_CASE(a_wait_for_a_notification_outlasts_a_statement_that_runs_beside_it) {
  for (const bool limited : {true, false}) {
    postgres::Connection connection = connect();
    net::io_context loop;
    connection.listen("beside");
    std::optional<std::string> heard;
    const TimePoint until = limited ? soon() : TimePoint::max();
    net::co_spawn(
        loop,
        [&]() -> net::awaitable<void> {
          const auto notification = co_await async(connection).wait_for_notification(until);
          heard = notification ? notification->payload : "nothing";
        },
        net::detached);
    loop.poll();
    bool answered = false;
    const auto send_much = [&]() -> net::awaitable<void> {  // which waits for the socket in both directions
      const std::string much(30'000'000, 'x');
      const postgres::Result length = co_await async(connection).exec_until(soon(), "select length($1)", much);
      answered = number_in(length) == 30'000'000;
    };
    net::co_spawn(loop, send_much, Rethrow{});
    run_until(loop, "the statement has its answer", [&] { return answered; });
    BOOST_TEST(!heard.has_value());
    server().ask("notify beside, 'later'");
    run_until(loop, "it is heard", [&] { return heard.has_value(); });
    BOOST_TEST(heard.value() == "later");
  }
}

BOOST_AUTO_TEST_CASE(a_child_process_does_not_cancel_what_its_parent_has_under_way,
                     *boost::unit_test::enable_if<can_fork>()) {
  postgres::Connection connection = connect();
  std::optional<net::io_context> loop{std::in_place};
  bool answered = false;
  const auto handler = [&](const std::exception_ptr& error, const postgres::Result&) { answered = error == nullptr; };
  async(connection, net::bind_executor(*loop, handler)).exec("select pg_sleep(1)");
  loop->poll();
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(60);
    loop.reset();
    std::this_thread::sleep_for(300ms);  // for a request to cancel, which has a thread of its own
    ::_exit(0);
  }
  int status = -1;
  ::waitpid(child, &status, 0);
  BOOST_TEST(status == 0);
  loop->run();
  BOOST_TEST(answered);
}

BOOST_AUTO_TEST_CASE(a_child_process_goes_on_with_the_loop_after_it_was_told,
                     *boost::unit_test::enable_if<can_fork>()) {
  std::optional<postgres::Connection> connection{connect()};
  std::optional<net::io_context> loop{std::in_place};
  BOOST_TEST(ask_in(*loop, *connection, 1) == 1);
  loop->notify_fork(net::io_context::fork_prepare);
  const pid_t child = ::fork();
  if (child == 0) {
    ::alarm(60);
    loop->notify_fork(net::io_context::fork_child);
    connection.reset();
    connection.emplace(connect());
    bool answered = ask_in(*loop, *connection, 3) == 3;
    loop->notify_fork(net::io_context::fork_prepare);
    const pid_t grandchild = ::fork();
    if (grandchild == 0) {
      ::alarm(60);
      loop->notify_fork(net::io_context::fork_child);  // throws where it does not find what it knows
      connection.reset();
      connection.emplace(connect());
      answered = ask_in(*loop, *connection, 4) == 4;
      ::_exit(answered ? 0 : 1);
    }
    loop->notify_fork(net::io_context::fork_parent);
    int status = -1;
    ::waitpid(grandchild, &status, 0);
    answered = answered && status == 0 && ask_in(*loop, *connection, 5) == 5;
    loop.reset();
    connection.reset();
    ::_exit(answered ? 0 : 1);
  }
  loop->notify_fork(net::io_context::fork_parent);
  int status = -1;
  ::waitpid(child, &status, 0);
  BOOST_TEST(status == 0);
  BOOST_TEST(ask_in(*loop, *connection, 2) == 2);
}

BOOST_AUTO_TEST_SUITE_END()
