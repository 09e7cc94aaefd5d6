// A cancel that is still on its way when its statement has ended must not reach the next one.
#include <algorithm>
#include <chrono>
#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <string>

#include <boost/test/unit_test.hpp>

#include <lido/postgres/detail/wire/cancelling.hpp>
#include <lido/postgres/pool.hpp>
#include <postgres/server.hpp>
#include <postgres/statements.hpp>
#include <support/fault_proxy.hpp>

using namespace lido;
using namespace lido::postgres;
using namespace lido::test;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(late_cancel)

namespace {

// It ends by itself soon, and not before it is left: the server sends what fills its buffer of 8 KB.
constexpr const char* short_rows = "select repeat('x', 9000), pg_sleep(0.2) from generate_series(1, 4) i";
// As that, but where nobody runs for a second it is left before its end as well. It ends before the two seconds that
// there are to leave it.
constexpr const char* longer_rows = "select repeat('x', 9000), pg_sleep(0.2) from generate_series(1, 8) i";

// Whether a connection whose stream of `sql` was left early is kept, with a proxy that holds the cancel back.
bool kept_after(const std::string& sql, const std::string& setting = "select 1") {
  FaultProxy proxy{server().socket()};
  proxy.acknowledge_cancels_early(1h);
  Connection connection = Connection::connect(proxy.conninfo("postgres"), soon());
  connection.exec_script(setting);
  {
    static_cast<void>(connection.stream(sql).begin());
  }
  return connection.is_usable();
}

// What libpq has since version 17.
struct NewerConnection {
  std::string said{};
};
struct NewerRequest {
  NewerConnection* connection;
};
NewerRequest* PQcancelCreate(NewerConnection* connection) { return new NewerRequest{connection}; }
int PQcancelBlocking(NewerRequest* request) { return request->connection->said += "asked ", 1; }
void PQcancelFinish(NewerRequest* request) {
  request->connection->said += "finished";
  delete request;
}

}  // namespace

BOOST_AUTO_TEST_CASE(the_request_is_encrypted_where_libpq_can_do_that) {
  NewerConnection connection;
  BOOST_TEST(postgres::detail::send_cancel(postgres::detail::cancel_handle(&connection)));
  BOOST_TEST(connection.said == "asked finished");
}

BOOST_AUTO_TEST_CASE(the_thread_that_cancels_takes_no_signal) {
  FaultProxy proxy{server().socket()};
  Connection connection = Connection::connect(proxy.conninfo("postgres"), soon());
  const auto blocks_all = [](const std::filesystem::path& thread) {
    std::ifstream file{thread / "status"};
    for (std::string line; std::getline(file, line);)
      if (line.starts_with("SigBlk:")) return (std::stoull(line.substr(7), nullptr, 16) >> (SIGPIPE - 1) & 1) != 0;
    return false;  // it has ended
  };
  const auto blocking = [&] {
    const std::filesystem::directory_iterator threads{"/proc/self/task"};
    return std::count_if(begin(threads), end(threads), [&](const auto& entry) { return blocks_all(entry.path()); });
  };
  const auto before = blocking();
  proxy.stay_silent();
  caught<QueryTimeout>([&] { connection.exec_until(Clock::now() + 1s, "select pg_sleep(5)"); });
  PostgresServer::wait_until("one that blocks signals asks", [&] { return blocking() > before; });
}

BOOST_AUTO_TEST_CASE(a_statement_that_ends_by_itself_costs_its_connection) { BOOST_TEST(!kept_after(longer_rows)); }

BOOST_AUTO_TEST_CASE(so_does_one_that_fails_by_itself) {
  BOOST_TEST(!kept_after("select 10 / (9 - i), repeat('x', 9000), pg_sleep(0.2) from generate_series(1, 11) i"));
}

BOOST_AUTO_TEST_CASE(so_does_one_that_its_own_time_limit_ends) {
  BOOST_TEST(!kept_after("select repeat('x', 9000), pg_sleep(0.2) from generate_series(1, 1000) i",
                         "set statement_timeout = '1600ms'"));
}

BOOST_AUTO_TEST_CASE(so_does_one_that_says_itself_that_it_was_cancelled) {
  const char* const function =
      "create or replace function pg_temp.sly(i int) returns int language plpgsql as $$ begin perform pg_sleep(0.2); "
      "if i = 8 then raise sqlstate '57014'; end if; return i; end $$";
  BOOST_TEST(!kept_after("select repeat('x', 9000), pg_temp.sly(i) from generate_series(1, 10) i", function));
}

BOOST_AUTO_TEST_CASE(so_does_a_copy) {
  FaultProxy proxy{server().socket()};
  proxy.acknowledge_cancels_early(1h);
  Connection connection = Connection::connect(proxy.conninfo("postgres"), soon());
  {
    static_cast<void>(connection.copy_out("copy (" + std::string{longer_rows} + ") to stdout").begin());
  }
  BOOST_TEST(!connection.is_usable());
}

BOOST_AUTO_TEST_CASE(one_that_the_cancel_has_ended_keeps_it) {
  FaultProxy proxy{server().socket()};
  proxy.acknowledge_cancels_early(50ms);
  Connection connection = Connection::connect(proxy.conninfo("postgres"), soon());
  int pid = 0;
  const auto leave = [&](Connection& left) {
    pid = left.backend_pid();
    // Slow, so that there is little to read after the cancel, however slow this is.
    static_cast<void>(left.stream("select repeat('x', 9000), pg_sleep(0.01) from generate_series(1, 1000000)").begin());
  };
  leave_rows(connection, leave, [&] { return Connection::connect(proxy.conninfo("postgres"), soon()); });
  BOOST_TEST(connection.exec("select pg_backend_pid()").one<int>() == pid);
}

BOOST_AUTO_TEST_CASE(a_long_answer_that_is_at_hand_needs_no_cancel) {
  FaultProxy proxy{server().socket()};
  proxy.acknowledge_cancels_early(1h);
  Connection connection = Connection::connect(proxy.conninfo("postgres"), soon());
  {
    auto rows = connection.stream("select repeat('x', 1000) from generate_series(1, 200)");
    static_cast<void>(rows.begin());
    wait_for_idle(connection);
    // The proxy has passed all of it on once it answers the next.
    static_cast<void>(Connection::connect(proxy.conninfo("postgres"), soon()));
  }
  BOOST_TEST(connection.exec("select 1").one<int>() == 1);
}

BOOST_AUTO_TEST_CASE(the_next_holder_of_a_pool_is_not_hit) {
  FaultProxy proxy{server().socket()};
  proxy.acknowledge_cancels_early(700ms);
  postgres::Pool pool{proxy.conninfo("postgres"), {.pool_size = 1, .max_overflow = 0}};
  for (int i = 0; i < 3; ++i) {
    {
      const auto lease = pool.acquire();
      static_cast<void>(lease->stream(short_rows).begin());
    }
    BOOST_CHECK_NO_THROW(pool.acquire()->exec("select pg_sleep(0.3)"));
  }
}

BOOST_AUTO_TEST_SUITE_END()
