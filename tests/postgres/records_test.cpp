#include <array>
#include <chrono>
#include <cstddef>
#include <functional>
#include <string>
#include <string_view>
#include <tuple>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <lido/postgres/connection.hpp>
#include <postgres/server.hpp>
#include <postgres/statements.hpp>
#include <support/record_proxy.hpp>

using namespace lido;
using namespace lido::postgres;
using namespace lido::test;
using namespace std::chrono_literals;

BOOST_AUTO_TEST_SUITE(records)

namespace {

// From one byte to as many as a record can hold; around what libpq takes at once, which is 8192 at least.
constexpr std::array record_sizes{1UL,    2UL,    100UL,    1000UL,   4096UL,   8191UL,   8192UL,
                                  8193UL, 9000UL, 12'288UL, 15'000UL, 16'000UL, 16'383UL, 16'384UL};

const RecordProxy& records_proxy() {
  static const RecordProxy instance{server().socket()};
  return instance;
}

Connection connect_with(std::size_t size) { return Connection::connect(records_proxy().conninfo(size), soon()); }

void with_each_size(const std::function<void(Connection&, std::size_t)>& body) {
  for (const std::size_t size : record_sizes) BOOST_TEST_CONTEXT("records of " << size << " bytes") {
      Connection connection = connect_with(size);
      BOOST_TEST(PQsslInUse(connection.native()) == 1);
      body(connection, size);
      BOOST_TEST(connection.exec("select 1").one<int>() == 1);
    }
}

// How many rows of 3000 bytes an answer has, so that its end falls everywhere in a record.
int most_rows(std::size_t size) { return size < 100 ? 2 : 24; }

// What takes a lot of room, but not so much that records of a byte take for ever.
int many(std::size_t size) { return size < 100 ? 300 : 3000; }

}  // namespace

BOOST_AUTO_TEST_CASE(an_answer_arrives_whatever_the_size_of_its_records) {
  with_each_size([](Connection& connection, std::size_t size) {
    for (int rows = 1; rows <= most_rows(size); ++rows) {
      const Result result =
          connection.exec_until(soon(), "select i, repeat('x', 3000) from generate_series(1, $1) i", rows);
      BOOST_TEST(result.size() == static_cast<std::size_t>(rows));
      BOOST_TEST(result[result.size() - 1][0].as<int>() == rows);
    }
    const Result many_rows = connection.exec_until(soon(), "select generate_series(1, $1)", many(size));
    BOOST_TEST(many_rows.size() == static_cast<std::size_t>(many(size)));
  });
}

BOOST_AUTO_TEST_CASE(rows_arrive_one_by_one_whatever_the_size_of_their_records) {
  with_each_size([](Connection& connection, std::size_t size) {
    for (int rows = 1; rows <= most_rows(size); ++rows) {
      int count = 0;
      for (const auto& [number, text] : connection.stream_until<int, std::string>(
               soon(), "select i, repeat('y', 3000) from generate_series(1, $1) i", rows))
        if (text.size() == 3000 && number == count + 1) ++count;
      BOOST_TEST(count == rows);
    }
  });
}

BOOST_AUTO_TEST_CASE(copied_rows_arrive_whatever_the_size_of_their_records) {
  with_each_size([](Connection& connection, std::size_t size) {
    connection.exec_script("create temp table copied(number int, text text)");
    std::vector<std::tuple<int, std::string>> rows;
    for (int i = 1; i <= most_rows(size); ++i) {
      rows.emplace_back(i, std::string(3000, 'z'));
      BOOST_TEST(connection.copy_in("copy copied from stdin", rows, soon()) == rows.size());
      std::vector<std::tuple<int, std::string>> back;
      for (auto row : connection.copy_out<int, std::string>("copy copied to stdout", soon()))
        back.push_back(std::move(row));
      BOOST_TEST((back == rows));
      connection.exec_script("truncate copied", soon());
    }
  });
}

BOOST_AUTO_TEST_CASE(the_answers_of_a_pipeline_arrive_whatever_the_size_of_their_records) {
  with_each_size([](Connection& connection, std::size_t size) {
    Pipeline pipeline;
    for (int i = 0; i < 10; ++i) pipeline.add("select repeat('p', $1)", many(size));
    for (const Result& result : connection.run(pipeline, soon()))
      BOOST_TEST(result.one<std::string>().size() == static_cast<std::size_t>(many(size)));
  });
}

BOOST_AUTO_TEST_CASE(notifications_arrive_whatever_the_size_of_their_records) {
  with_each_size([](Connection& connection, std::size_t size) {
    connection.listen("tidings");
    const int length = size < 100 ? 500 : 7000;
    // All of them at once, and also in the record of an answer.
    const std::string notify =
        "select pg_notify('tidings', i || repeat('n', " + std::to_string(length) + ")) from generate_series(1, 9) i";
    server().ask(notify);
    for (int i = 0; i < 9; ++i) {
      const auto heard = connection.wait_for_notification(soon());
      BOOST_TEST_REQUIRE(heard.has_value());
      BOOST_TEST(heard->payload.size() == static_cast<std::size_t>(length) + 1);
    }
    connection.exec_script(notify);
    for (int i = 0; i < 9; ++i) BOOST_TEST(connection.wait_for_notification(soon()).has_value());
  });
}

BOOST_AUTO_TEST_CASE(an_error_and_the_end_of_a_session_arrive_whatever_the_size_of_their_records) {
  with_each_size([](Connection& connection, std::size_t size) {
    const std::string sql = "do $$ begin for i in 1.." + std::to_string(size < 100 ? 9 : 200) +
                            " loop raise notice '%', repeat('-', 100); end loop; raise 'the end'; end $$";
    const auto error = caught<QueryError>([&] { connection.exec_script(sql, soon()); });
    BOOST_TEST(error.message() == "the end");
    Connection doomed = connect_with(size);
    const auto gone = caught<ConnectionLost>(
        [&] { doomed.exec_until(soon(), "select repeat('e', $1), pg_terminate_backend(pg_backend_pid())", 100); });
    BOOST_TEST(gone.sqlstate() == "57P01");
  });
}

BOOST_AUTO_TEST_CASE(a_stream_that_is_left_early_goes_on_whatever_the_size_of_its_records) {
  with_each_size([](Connection& connection, std::size_t size) {
    if (size < 100) return;  // what is on its way would take more than the two seconds that there are
    const auto leave = [](Connection& left) {
      auto stream = left.stream_until(soon(), "select repeat('y', 3000), generate_series(1, $1)", 1'000'000'000);
      BOOST_TEST((*stream.begin())[0].text().size() == 3000U);
    };
    for (int i = 0; i < 3; ++i) leave_rows(connection, leave, [&] { return connect_with(size); });
    BOOST_TEST(connection.is_usable());
  });
}

BOOST_AUTO_TEST_CASE(a_farewell_in_the_record_of_an_answer_is_heard) {
  for (const std::size_t size : {9000UL, 16'384UL}) {
    Connection connection = connect_with(size);
    connection.listen("tidings");
    // What is heard before the end fills records of its own.
    server().ask("select pg_notify('tidings', i || repeat('n', 7000)) from generate_series(1, 9) i");
    terminate(connection);
    PostgresServer::wait_until("the end is seen", [&] { return !connection.is_alive(); });
    const auto gone = caught<ConnectionLost>([&] { connection.exec("select 1"); });
    BOOST_TEST(gone.sqlstate() == "57P01");
  }
}

BOOST_AUTO_TEST_CASE(a_peer_that_never_stops_does_not_outlast_a_deadline) {
  for (const std::size_t size : {9000UL, 16'384UL}) {
    Connection connection = connect_with(size);
    const auto start = Clock::now();
    caught<QueryTimeout>(
        [&] { connection.exec_until(start + 200ms, "select repeat('x', 3000), generate_series(1, 1000000000)"); });
    BOOST_TEST((Clock::now() - start < 1min));  // which only a failure reaches
  }
}

BOOST_AUTO_TEST_CASE(an_answer_arrives_also_where_openssl_cannot_be_asked) {
  struct Restore {
    ~Restore() { postgres::detail::ssl_pending() = known; }
    postgres::detail::SslPending known;
  };
  BOOST_TEST_REQUIRE((postgres::detail::ssl_pending() != nullptr));
  const Restore restore{std::exchange(postgres::detail::ssl_pending(), nullptr)};
  with_each_size([](Connection& connection, std::size_t size) {
    for (int rows = 1; rows <= most_rows(size); ++rows)
      BOOST_TEST(
          connection.exec_until(soon(), "select i, repeat('x', 3000) from generate_series(1, $1) i", rows).size() ==
          static_cast<std::size_t>(rows));
    connection.listen("tidings");
    server().ask("select pg_notify('tidings', i || repeat('n', 7000)) from generate_series(1, 3) i");
    for (int i = 0; i < 3; ++i) BOOST_TEST(connection.wait_for_notification(soon()).has_value());
  });
}

BOOST_AUTO_TEST_SUITE_END()
