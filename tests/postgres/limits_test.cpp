// What no message can carry is refused before it is sent: the server would end the session.
#include <sys/mman.h>

#include <cstddef>
#include <span>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <boost/test/unit_test.hpp>

#include <lido/postgres/pool.hpp>
#include <lido/postgres/session.hpp>
#include <postgres/server.hpp>

using namespace lido;
using namespace lido::postgres;
using namespace lido::test;

BOOST_AUTO_TEST_SUITE(limits)

namespace {

// Memory of which nothing exists, as nobody looks at it.
class Vast {
 public:
  explicit Vast(std::size_t size)
      : size_{size}, memory_{::mmap(nullptr, size, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0)} {
    if (memory_ == MAP_FAILED) throw std::runtime_error{"mmap failed"};
  }
  Vast(const Vast&) = delete;
  Vast& operator=(const Vast&) = delete;
  ~Vast() { ::munmap(memory_, size_); }
  [[nodiscard]] std::string_view text() const { return {static_cast<const char*>(memory_), size_}; }
  [[nodiscard]] std::span<const std::byte> bytes() const { return {static_cast<const std::byte*>(memory_), size_}; }

 private:
  std::size_t size_;
  void* memory_;
};

// Whether `action` is refused with an error that begins with `words`.
template <class Action>
void refuses(std::string_view words, Action action) {
  const auto error = caught<QueryError>(action);
  BOOST_TEST(std::string_view{error.what()}.starts_with(words), error.what());
  BOOST_TEST(error.sqlstate().empty());
}

}  // namespace

BOOST_AUTO_TEST_CASE(a_value_that_is_too_long_is_named_and_costs_nothing) {
  const Vast vast{1'200'000'000};
  postgres::Pool pool{server().conninfo(), {.pool_size = 2, .max_overflow = 0}};
  const auto other = pool.acquire();
  const auto lease = pool.acquire();
  const int pid = lease->backend_pid();
  refuses("parameter $2: 1200000000 bytes", [&] { lease->exec("select $1::int, length($2)", 1, vast.text()); });
  refuses("parameter $1: 1200000000 bytes", [&] { lease->exec("select length($1)", vast.bytes()); });
  refuses("parameter $1: ", [&] { static_cast<void>(lease->stream("select length($1)", vast.bytes())); });
  refuses("parameter $1: ", [&] { lease->exec_until(soon(), "select length($1)", std::optional{vast.text()}); });
  Pipeline pipeline;
  refuses("parameter $1: ", [&] { pipeline.add("select length($1)", vast.bytes()); });
  BOOST_TEST(pipeline.empty());
  BOOST_TEST(lease->exec("select pg_backend_pid()").one<int>() == pid);
  BOOST_TEST(!lease->has_lost_server(soon()));
  BOOST_TEST(!other->has_lost_server(soon()));
}

BOOST_AUTO_TEST_CASE(so_are_values_that_are_too_long_together) {
  const Vast vast{600'000'000};
  Connection connection = lido::test::connect();
  refuses("parameters $1 to $2 together: 1200000000 bytes",
          [&] { connection.exec("select length($1), length($2)", vast.bytes(), vast.bytes()); });
  BOOST_TEST(connection.exec("select 1").one<int>() == 1);
}

BOOST_AUTO_TEST_CASE(so_is_a_statement) {
  const Vast vast{1'200'000'000};
  Connection connection = lido::test::connect();
  refuses("the statement: 1200000000 bytes", [&] { connection.exec(vast.text()); });
  Pipeline pipeline;
  refuses("the statement: ", [&] { pipeline.add(vast.text()); });
  BOOST_TEST(connection.exec("select 1").one<int>() == 1);
}

BOOST_AUTO_TEST_CASE(so_is_a_piece_of_a_copy_and_nothing_of_it_is_stored) {
  const Vast vast{1'200'000'000};
  Connection connection = lido::test::connect();
  connection.exec_script("create temp table copied(line text)");
  const std::vector<std::string_view> pieces{"one\n", vast.text()};
  refuses("a piece of a COPY: 1200000000 bytes", [&] { connection.copy_in("copy copied from stdin", pieces); });
  BOOST_TEST(connection.exec("select count(*) from copied").one<long>() == 0);
  // What is longer than what is sent at once, in a message of its own each.
  const std::vector<std::string> lines{std::string(5'000'000, 'x') + '\n'};
  BOOST_TEST(connection.copy_in("copy copied from stdin", lines) == 1U);
  BOOST_TEST(connection.exec("select length(line) from copied").one<int>() == 5'000'000);
}

BOOST_AUTO_TEST_SUITE_END()
