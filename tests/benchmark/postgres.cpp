// The PostgreSQL adapter beside libpq itself.
// package: libpq-dev postgresql
// link: -lpq
#include <poll.h>

#include <charconv>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string>
#include <string_view>

#include <libpq-fe.h>

#include <lido/postgres/connection.hpp>
#include <support/postgres_server.hpp>
#include "harness.hpp"

namespace {

using lido::postgres::Connection;
using lido::postgres::Result;

lido::test::PostgresServer& server() {
  static lido::test::PostgresServer instance;
  return instance;
}

std::shared_ptr<Connection> connect() {
  return std::make_shared<Connection>(
      Connection::connect(server().conninfo(), lido::Clock::now() + std::chrono::seconds{10}));
}

template <class Action>
double time_of(int times, Action action) {
  const double begun = benchmark::processor_ns();
  for (int i = 0; i < times; ++i) action();
  return (benchmark::processor_ns() - begun) / times;
}

// What any client does that must not wait for ever.
void raw_one(PGconn* raw) {
  if (PQsendQueryPrepared(raw, "one", 0, nullptr, nullptr, nullptr, 0) == 0) throw std::runtime_error{"send"};
  for (;;) {
    while (PQflush(raw) > 0 || PQisBusy(raw) != 0) {
      pollfd entry{.fd = PQsocket(raw), .events = POLLIN, .revents = 0};
      if (::poll(&entry, 1, 10'000) != 1 || PQconsumeInput(raw) == 0) throw std::runtime_error{"poll"};
    }
    PGresult* const result = PQgetResult(raw);
    if (result == nullptr) return;
    if (PQresultStatus(result) != PGRES_TUPLES_OK) throw std::runtime_error{"result"};
    PQclear(result);
  }
}

// All on one session: what an answer costs depends on where the kernel has put the two that talk, more than on the way.
benchmark::Comparison select_one() {
  constexpr int times = 100;
  const auto session = connect();
  PGconn* const raw = session->native();
  session->exec("select 1");  // which prepares anew what may have been lost
  PQclear(PQprepare(raw, "one", "select 1", 0, nullptr));
  return {.name = "a prepared select 1",
          .ways = {{"libpq: PQsendQueryPrepared, poll, PQgetResult", "floor peer",
                    [session, raw] { return time_of(times, [&] { raw_one(raw); }); }},
                   {"lido: exec", "own", [session] { return time_of(times, [&] { session->exec("select 1"); }); }},
                   {"libpq: PQexecPrepared, which waits for ever", "peer", [session, raw] {
                      return time_of(times,
                                     [&] { PQclear(PQexecPrepared(raw, "one", 0, nullptr, nullptr, nullptr, 0)); });
                    }}}};
}

constexpr const char* thousand_rows =
    "select i, i * 2, i * 3, i::int8 * 1000000007, i % 7, i / 3.0::float8, i * 0.1::float8, 'name ' || i, "
    "repeat('x', 20), i % 2 = 0 from generate_series(1, 1000) i";

template <class T>
T number(const PGresult* result, int row, int column) {
  T value{};
  const char* const text = PQgetvalue(result, row, column);
  std::from_chars(text, text + PQgetlength(result, row, column), value);
  return value;
}

double read_raw(const PGresult* result) {
  double sum = 0;
  for (int row = 0; row < PQntuples(result); ++row) {
    sum += number<int>(result, row, 0) + number<int>(result, row, 1) + number<int>(result, row, 2);
    sum += static_cast<double>(number<long>(result, row, 3)) + number<int>(result, row, 4);
    sum += number<double>(result, row, 5) + number<double>(result, row, 6);
    const std::string name{PQgetvalue(result, row, 7), static_cast<std::size_t>(PQgetlength(result, row, 7))};
    const std::string text{PQgetvalue(result, row, 8), static_cast<std::size_t>(PQgetlength(result, row, 8))};
    sum += static_cast<double>(name.size() + text.size()) + (PQgetvalue(result, row, 9)[0] == 't' ? 1 : 0);
  }
  return sum;
}

double read_typed(const Result& result) {
  double sum = 0;
  for (const auto& row : result) {
    const auto [a, b, c, d, e, f, g, name, text, even] =
        row.as<int, int, int, long, int, double, double, std::string, std::string, bool>();
    sum += a + b + c + static_cast<double>(d) + e + f + g;
    sum += static_cast<double>(name.size() + text.size()) + (even ? 1 : 0);
  }
  return sum;
}

benchmark::Comparison read_rows() {
  constexpr int times = 20;
  const auto session = connect();
  const std::shared_ptr<PGresult> rows{PQexec(session->native(), thousand_rows), &PQclear};
  const auto result = std::make_shared<Result>(session->exec(thousand_rows));
  if (read_raw(rows.get()) != read_typed(*result)) throw std::runtime_error{"the two read differently"};
  return {.name = "reading 1,000 rows of 10 columns",
          .ways = {{"libpq: PQgetvalue, std::from_chars", "floor peer",
                    [rows] {
                      return time_of(times, [&] {
                        double sum = read_raw(rows.get());
                        asm volatile("" : "+m"(sum));
                      });
                    }},
                   {"lido: row.as<int, ...>()", "own", [result] {
                      return time_of(times, [&] {
                        double sum = read_typed(*result);
                        asm volatile("" : "+m"(sum));
                      });
                    }}}};
}

const bool registered = [] {
  benchmark::comparisons().emplace_back(select_one);
  benchmark::comparisons().emplace_back(read_rows);
  return true;
}();

}  // namespace
